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

/// Brings this module's object into the component, and with it the section that says what the imports are. A function that calls an import may become part of
/// another crate's code and leave nothing here that is referred to; this one does not.
#[inline(never)]
pub(crate) fn link_section() {
    __link_custom_section_describing_imports();
}
