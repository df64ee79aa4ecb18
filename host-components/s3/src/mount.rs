//! The mount type: its settings.

use std::time::Duration;

use eyot_backend::SettingKind::{Boolean, Duration as Time, Number, Secret, Size, Text};
use eyot_backend::{MountType, Refusal, SettingDescription, Settings, Timestamp};

use crate::options::{S3Credentials, S3Options};
use crate::s3::S3;

/// The mount type `s3`.
pub struct S3Mount;

const fn optional(
    key: &'static str,
    kind: eyot_backend::SettingKind,
    default_value: &'static str,
    help: &'static str,
) -> SettingDescription {
    SettingDescription::optional(key, kind, default_value, help)
}

impl MountType for S3Mount {
    type Filesystem = S3;

    const SETTINGS: &'static [SettingDescription] = &[
        SettingDescription::required("bucket", Text, "The bucket."),
        optional("prefix", Text, "none", "The directory of the bucket that is mounted."),
        optional("region", Text, "us-east-1", "The bucket's region."),
        optional("endpoint", Text, "Amazon's of the region", "The server's address, such as https://s3.example.org."),
        optional("access_key_id", Text, "the host's environment or role", "The name of the key."),
        optional("secret_access_key", Secret, "the host's environment or role", "The key."),
        optional("session_token", Secret, "none", "What temporary keys come with."),
        optional("anonymous", Boolean, "false", "Requests are not signed."),
        optional("allow_http", Boolean, "false", "An endpoint without TLS is taken."),
        optional("virtual_hosted", Boolean, "false", "The bucket is part of the host's name."),
        optional("read_only", Boolean, "false", "Nothing is changed."),
        optional("sign_payload", Boolean, "only without TLS", "The bytes of files are signed, too."),
        optional("request_payer", Boolean, "false", "The requester pays."),
        optional("storage_class", Text, "the bucket's", "The storage class of new objects."),
        optional("server_side_encryption", Text, "the bucket's", "AES256 or aws:kms."),
        optional("kms_key_id", Text, "the bucket's", "The key for aws:kms."),
        optional("posix", Boolean, "true", "Modes, owners and times are kept, in the metadata of objects."),
        optional(
            "exact_listings",
            Boolean,
            "false",
            "A listing asks for each entry, so that it tells modes, owners and times.",
        ),
        optional("symlinks", Boolean, "true", "Symlinks are kept, as objects NAME.rclonelink."),
        optional("file_mode", Number, "0o644", "The mode of files that say nothing."),
        optional("dir_mode", Number, "0o755", "The mode of directories that say nothing."),
        optional("uid", Number, "0", "The owner of what says nothing."),
        optional("gid", Number, "0", "The group of what says nothing."),
        optional("list_lifetime", Time, "5s", "For how long a directory's names are believed."),
        optional("attributes_lifetime", Time, "5s", "For how long attributes are believed."),
        optional("cache_bytes", Size, "64M", "Memory for what was read."),
        optional("part_bytes", Size, "8M", "The length of an upload's parts: 5M to 512M."),
        optional(
            "stage_bytes",
            Size,
            "32M",
            "Memory for files that are being changed; the rest goes to temporary files.",
        ),
        optional("stage_directory", Text, "the host's for temporary files", "Where temporary files go."),
        optional("timeout", Time, "20s", "How long to wait for an answer."),
        optional("retries", Number, "12", "How often a request is tried again."),
        optional("retry_time", Time, "60s", "For how long a request is tried again."),
        optional("entries_max", Number, "1000000", "The most entries of a directory; EOVERFLOW beyond."),
        optional(
            "rename_entries_max",
            Number,
            "10000",
            "The most objects that a directory's rename copies; EXDEV beyond.",
        ),
        optional(
            "keep_unlinked_bytes",
            Size,
            "0",
            "The longest file that is fetched when its name goes while it is held but not open.",
        ),
    ];

    fn mount(settings: &Settings, clock: fn() -> Timestamp) -> Result<S3, Refusal> {
        S3::mount_at(options(settings)?, clock)
    }
}

fn options(settings: &Settings) -> Result<S3Options, Refusal> {
    let mut options = S3Options::new(settings.text("bucket").unwrap_or_default());
    let text = |key| settings.text(key).map(str::to_owned);
    let flag = |key| settings.boolean(key).unwrap_or(false);
    let time = |key, default: Duration| settings.duration(key).unwrap_or(default);
    options.prefix = text("prefix").unwrap_or_default();
    options.region = text("region").unwrap_or(options.region);
    options.endpoint = text("endpoint");
    options.credentials = credentials(settings)?;
    options.allow_http = flag("allow_http");
    options.virtual_hosted = flag("virtual_hosted");
    options.read_only = flag("read_only");
    options.sign_payload = settings.boolean("sign_payload");
    options.request_payer = flag("request_payer");
    options.storage_class = text("storage_class");
    options.server_side_encryption = text("server_side_encryption");
    options.kms_key_id = text("kms_key_id");
    options.posix = settings.boolean("posix").unwrap_or(true);
    options.exact_listings = flag("exact_listings");
    options.symlinks = settings.boolean("symlinks").unwrap_or(true);
    options.file_mode = settings.number32("file_mode")?.unwrap_or(options.file_mode);
    options.dir_mode = settings.number32("dir_mode")?.unwrap_or(options.dir_mode);
    options.uid = settings.number32("uid")?.unwrap_or(0);
    options.gid = settings.number32("gid")?.unwrap_or(0);
    options.list_lifetime = time("list_lifetime", options.list_lifetime);
    options.attributes_lifetime = time("attributes_lifetime", options.attributes_lifetime);
    options.cache_bytes = settings.size("cache_bytes").unwrap_or(options.cache_bytes);
    options.part_bytes = settings.size("part_bytes").unwrap_or(options.part_bytes);
    options.stage_bytes = settings.size("stage_bytes").unwrap_or(options.stage_bytes);
    options.stage_directory = text("stage_directory").map(Into::into);
    options.timeout = time("timeout", options.timeout);
    options.retries = settings.number32("retries")?.unwrap_or(options.retries);
    options.retry_time = time("retry_time", options.retry_time);
    let count =
        |key, default| settings.number(key).map_or(default, |count| usize::try_from(count).unwrap_or(usize::MAX));
    options.entries_max = count("entries_max", options.entries_max);
    options.rename_entries_max = count("rename_entries_max", options.rename_entries_max);
    options.keep_unlinked_bytes = settings.size("keep_unlinked_bytes").unwrap_or(0);
    Ok(options)
}

fn credentials(settings: &Settings) -> Result<S3Credentials, Refusal> {
    let (id, secret) = (settings.text("access_key_id"), settings.text("secret_access_key"));
    let session_token = settings.text("session_token").map(str::to_owned);
    if settings.boolean("anonymous") == Some(true) {
        let given = ["access_key_id", "secret_access_key", "session_token"]
            .into_iter()
            .find(|key| settings.text(key).is_some());
        return match given {
            Some(key) => Err(Refusal::wrong(format!("{key}: is of no use where `anonymous` is true"))),
            None => Ok(S3Credentials::Anonymous),
        };
    }
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(S3Credentials::Keys {
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned(),
            session_token,
        }),
        (None, None) if session_token.is_some() => {
            Err(Refusal::wrong("access_key_id: missing; a session_token belongs to a key"))
        }
        (None, None) => Ok(S3Credentials::Environment),
        (Some(_), None) => Err(Refusal::wrong("secret_access_key: missing; an access_key_id needs one")),
        (None, Some(_)) => Err(Refusal::wrong("access_key_id: missing; a secret_access_key needs one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(given: &[(&str, &str)]) -> Result<S3Options, Refusal> {
        let given = given.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        options(&Settings::check(S3Mount::SETTINGS, given)?)
    }

    #[test]
    fn defaults_are_as_they_are_told() {
        let options = parse(&[("bucket", "b")]).unwrap();
        assert_eq!(format!("{options:?}"), format!("{:?}", S3Options::new("b")));
        for setting in S3Mount::SETTINGS {
            let Some(told) = setting.default_value.filter(|_| setting.kind != Text && setting.kind != Secret) else {
                continue;
            };
            if told != "only without TLS" {
                let given = parse(&[("bucket", "b"), (setting.key, told)]).unwrap();
                assert_eq!(format!("{given:?}"), format!("{options:?}"), "{}", setting.key);
            }
        }
    }

    #[test]
    fn credentials_that_make_no_sense_are_named() {
        let wrong = [
            (vec![("access_key_id", "a")], "secret_access_key: missing"),
            (vec![("secret_access_key", "a")], "access_key_id: missing"),
            (vec![("session_token", "a")], "access_key_id: missing"),
            (vec![("anonymous", "true"), ("secret_access_key", "hush")], "secret_access_key: is of no use"),
        ];
        for (mut given, message) in wrong {
            given.push(("bucket", "b"));
            let refusal = parse(&given).unwrap_err();
            assert!(refusal.message.contains(message) && !refusal.message.contains("hush"), "{refusal}");
        }
        let keys = parse(&[("bucket", "b"), ("access_key_id", "id"), ("secret_access_key", "hush")]).unwrap();
        assert!(!format!("{keys:?}").contains("hush"));
    }
}
