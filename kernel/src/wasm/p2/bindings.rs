//! What `bindgen!` makes of WASI 0.2 and of `wit/kernel`: the traits that this module implements for [`Guest`](crate::wasm::process::Guest).
//!
//! Functions that may wait are async. The reps of resources say what they are: of descriptors and streams the descriptor's number, of errors the
//! error's number; only pollables and directory streams, which are more than a number, lie in the guest's table.

/// WASI 0.2.12.
pub(super) mod wasi {
    use crate::wasm::p2::failure::{Failure, NoSockets, StreamFailure};

    wasmtime::component::bindgen!({
        path: [
            "../wit/deps/io-0.2.12",
            "../wit/deps/clocks-0.2.12",
            "../wit/deps/random-0.2.12",
            "../wit/deps/filesystem-0.2.12",
            "../wit/deps/sockets-0.2.12",
            "../wit/deps/cli-0.2.12",
        ],
        world: "wasi:cli/command@0.2.12",
        imports: {
            "wasi:io/poll.poll": async | trappable,
            "wasi:io/poll.[method]pollable.block": async | trappable,
            "wasi:io/streams.[method]input-stream.blocking-read": async | trappable,
            "wasi:io/streams.[method]input-stream.blocking-skip": async | trappable,
            "wasi:io/streams.[method]output-stream.write": async | trappable,
            "wasi:io/streams.[method]output-stream.write-zeroes": async | trappable,
            "wasi:io/streams.[method]output-stream.splice": async | trappable,
            "wasi:io/streams.[method]output-stream.blocking-write-and-flush": async | trappable,
            "wasi:io/streams.[method]output-stream.blocking-write-zeroes-and-flush": async | trappable,
            "wasi:io/streams.[method]output-stream.blocking-splice": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        trappable_error_type: {
            "wasi:io/streams.stream-error" => StreamFailure,
            "wasi:filesystem/types.error-code" => Failure,
            "wasi:sockets/network.error-code" => NoSockets,
        },
        with: {
            "wasi:io/poll.pollable": crate::wasm::p2::poll::Pollable,
            "wasi:filesystem/types.directory-entry-stream": crate::wasm::p2::directory::DirectoryStream,
        },
    });
}

/// `eyot:kernel`.
pub(super) mod kernel {
    use crate::wasm::p2::failure::Failure;

    wasmtime::component::bindgen!({
        path: "../wit/kernel",
        world: "guest",
        imports: {
            "eyot:kernel/descriptor.read": async | trappable,
            "eyot:kernel/descriptor.write": async | trappable,
            "eyot:kernel/descriptor.poll": async | trappable,
            "eyot:kernel/process.wait": async | trappable,
            "eyot:kernel/clock.sleep-until": async | trappable,
            "eyot:kernel/socket.accept": async | trappable,
            "eyot:kernel/socket.connect": async | trappable,
            "eyot:kernel/socket.send": async | trappable,
            "eyot:kernel/socket.recv": async | trappable,
            "eyot:kernel/socket.resolve": async | trappable,
            default: trappable,
        },
        trappable_error_type: {
            "eyot:kernel/types.errno" => Failure,
        },
    });
}
