//! The filesystem on servers: a model that keeps to the letter, `s3s-fs`, and a SeaweedFS that was started by hand (`EYOT_TEST_WEED_S3`).

mod kit;
mod large;
mod model;
mod mounting;
mod server;
