//! What is wrong with a mount is said when it is made.

use eyot_backend::Errno;
use eyot_s3::{S3, S3Credentials, S3Options};

use crate::server::{KEY, SECRET, Server, model};

fn refused(server: &Server, change: impl FnOnce(&mut S3Options)) -> (Errno, String) {
    let mut options = server.options();
    change(&mut options);
    let refusal = S3::mount(options).unwrap_err();
    assert!(!refusal.message.contains(SECRET));
    (refusal.errno, refusal.message)
}

fn keys(id: &str, secret: &str) -> S3Credentials {
    S3Credentials::Keys { access_key_id: id.into(), secret_access_key: secret.into(), session_token: None }
}

#[test]
fn the_setting_that_is_wrong_is_named() {
    let (_model, server) = model();
    let (errno, message) = refused(&server, |options| options.bucket = "absent".into());
    assert!(errno == Errno::Io && message.starts_with("bucket: there is no bucket absent"), "{message}");
    let (errno, message) = refused(&server, |options| options.credentials = keys(KEY, "wrong"));
    assert!(errno == Errno::Acces && message.starts_with("secret_access_key: "), "{message}");
    let (errno, message) = refused(&server, |options| options.credentials = keys("WRONG", SECRET));
    assert!(errno == Errno::Acces && message.starts_with("access_key_id: "), "{message}");
    let (errno, message) = refused(&server, |options| options.credentials = S3Credentials::Anonymous);
    assert!(errno == Errno::Acces && message.starts_with("access_key_id: "), "{message}");
    let (_, message) = refused(&server, |options| options.endpoint = Some("http://127.0.0.1:1".into()));
    assert!(message.starts_with("endpoint: no connection"), "{message}");
    let (_, message) = refused(&server, |options| options.endpoint = Some("http://no-such-host.invalid".into()));
    assert!(message.starts_with("endpoint: no connection"), "{message}");
    let (_, message) = refused(&server, |options| options.allow_http = false);
    assert!(message.contains("allow_http"), "{message}");
    let (_, message) = refused(&server, |options| options.prefix = "a//b".into());
    assert!(message.starts_with("prefix: "), "{message}");
}
