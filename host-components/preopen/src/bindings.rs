//! The imports.
#![allow(missing_docs, reason = "generated; the WIT has the documentation")]

wit_bindgen::generate!({
    path: "../../wit/kernel",
    inline: "
        package eyot:preopen;
        world imports {
            import eyot:kernel/types@0.1.0;
            import eyot:kernel/descriptor@0.1.0;
            import eyot:kernel/fs@0.1.0;
            import eyot:kernel/random@0.1.0;
        }
    ",
    world: "eyot:preopen/imports",
    generate_all,
});
