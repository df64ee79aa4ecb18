//! `wasi:random`. Insecure randomness is as good as the other: it costs the same.

use super::bindings::wasi::wasi::random::{insecure, insecure_seed, random};
use super::failure::{Failure, done};
use crate::syscall;
use crate::wasm::process::Guest;

/// The most bytes of one call: beyond it the program ends, for the call has no way to fail.
const BYTES_MAX: u64 = 16 << 20;

impl Guest {
    fn random_bytes(&self, length: u64) -> wasmtime::Result<Vec<u8>> {
        if length > BYTES_MAX {
            let message = format!("{length} random bytes in one call are more than the {BYTES_MAX} allowed");
            return Err(wasmtime::Error::msg(message));
        }
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn random_u64(&self) -> wasmtime::Result<u64> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn fill(&self, bytes: &mut [u8]) -> wasmtime::Result<()> {
        match done(syscall::random::fill(&self.task, bytes)) {
            Ok(()) => Ok(()),
            Err(Failure::Errno(errno)) => Err(wasmtime::Error::msg(format!("the host has no randomness: {errno}"))),
            Err(Failure::Trap(error)) => Err(error),
        }
    }
}

impl random::Host for Guest {
    fn get_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(length)
    }

    fn get_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_u64()
    }
}

impl insecure::Host for Guest {
    fn get_insecure_random_bytes(&mut self, length: u64) -> wasmtime::Result<Vec<u8>> {
        self.random_bytes(length)
    }

    fn get_insecure_random_u64(&mut self) -> wasmtime::Result<u64> {
        self.random_u64()
    }
}

impl insecure_seed::Host for Guest {
    fn insecure_seed(&mut self) -> wasmtime::Result<(u64, u64)> {
        Ok((self.random_u64()?, self.random_u64()?))
    }
}
