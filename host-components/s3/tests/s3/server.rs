//! Servers on this machine's loopback that can be stopped at any moment and started again where they were.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use eyot_s3::{S3, S3Credentials, S3Options};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::runtime::Runtime;

use crate::model::{BUCKET, Model};

pub const KEY: &str = "AKEYOT";
pub const SECRET: &str = "a secret/with+signs";

/// A server.
pub struct Server {
    pub address: SocketAddr,
    service: S3Service,
    runtime: Option<Runtime>,
}

impl Server {
    fn start(service: S3ServiceBuilder) -> Self {
        let mut service = service;
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let mut server = Self { address: ([127, 0, 0, 1], 0).into(), service: service.build(), runtime: None };
        server.go_on();
        server
    }

    pub fn of_model(model: &Model) -> Self {
        Self::start(S3ServiceBuilder::new(model.clone()))
    }

    /// `s3s-fs`, with a bucket.
    pub fn of_directory(root: &Path) -> Self {
        std::fs::create_dir_all(root.join(BUCKET)).unwrap();
        Self::start(S3ServiceBuilder::new(s3s_fs::FileSystem::new(root).unwrap()))
    }

    /// Every connection ends, and nobody listens.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Listens again where it did.
    pub fn go_on(&mut self) {
        let listener = (0..100)
            .find_map(|_| {
                TcpListener::bind(self.address)
                    .inspect_err(|_| std::thread::sleep(std::time::Duration::from_millis(20)))
                    .ok()
            })
            .expect("the port is free again");
        self.address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let service = self.service.clone();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                let _ = socket.set_nodelay(true);
                tokio::spawn(async move {
                    let builder = Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        self.runtime = Some(runtime);
    }

    /// Options for a directory of the bucket that nobody else uses.
    pub fn options(&self) -> S3Options {
        options(&format!("http://{}", self.address), KEY, SECRET)
    }

    pub fn mount(&self) -> S3 {
        S3::mount(self.options()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Options for a fresh directory of the bucket on any server.
pub fn options(endpoint: &str, key: &str, secret: &str) -> S3Options {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut options = S3Options::new(BUCKET);
    options.endpoint = Some(endpoint.to_owned());
    options.allow_http = true;
    options.credentials =
        S3Credentials::Keys { access_key_id: key.into(), secret_access_key: secret.into(), session_token: None };
    options.prefix = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, SeqCst));
    options
}

/// A model and its server.
pub fn model() -> (Model, Server) {
    let model = Model::default();
    let server = Server::of_model(&model);
    (model, server)
}

/// A filesystem for the kit, which wants everything kept as on a disk.
pub fn for_kit(mut options: S3Options) -> Arc<S3> {
    options.keep_unlinked_bytes = 64 << 20;
    options.exact_listings = true;
    options.list_lifetime = std::time::Duration::from_secs(3600);
    options.attributes_lifetime = std::time::Duration::from_secs(3600);
    Arc::new(S3::mount(options).unwrap())
}
