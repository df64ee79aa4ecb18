//! What the component imports.

wit_bindgen::generate!({
    path: [
        "../../wit/deps/io-0.2.12",
        "../../wit/deps/clocks-0.2.12",
        "../../wit/deps/filesystem-0.2.12",
    ],
    inline: "
        package eyot:wasifs;
        world adapter {
            import wasi:filesystem/types@0.2.12;
            import wasi:filesystem/preopens@0.2.12;
        }
    ",
    world: "eyot:wasifs/adapter",
    generate_all,
});

pub(crate) use wasi::filesystem::{preopens, types};
