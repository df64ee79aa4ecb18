//! The filesystem on servers: a model that keeps to the letter, `s3s-fs`, SeaweedFS where there is one, and servers that answer nonsense.

mod kit;
mod large;
mod model;
mod mounting;
mod server;
