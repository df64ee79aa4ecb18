//! `eyot info`: what the command finds.

use std::path::Path;

use serde_json::{Value, json};

use crate::home::Home;

/// The files of a home and what they are for.
const FILES: [(&str, &str); 4] = [
    ("base.img", "the VM's own tree"),
    ("node.bin", "Node's library"),
    ("memfs.wasm", "a plug-in: the in-memory filesystem"),
    ("overlay.wasm", "a plug-in: layers of other filesystems"),
];

/// As JSON.
pub fn json(home: &Home) -> Value {
    let text = |path: Option<&Path>| path.map(|path| path.display().to_string());
    let files: serde_json::Map<String, Value> =
        FILES.iter().map(|(name, _)| ((*name).to_owned(), json!(text(home.file(name).as_deref())))).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "javascript": cfg!(feature = "v8"),
        "home": text(home.dir.as_deref()),
        "cache": text(home.cache.as_deref()),
        "code": text(home.code().as_deref()),
        "files": files,
    })
}

/// For a person.
pub fn text(home: &Home) -> String {
    let path = |path: Option<&Path>| path.map_or_else(|| "none".to_owned(), |path| path.display().to_string());
    let mut lines = vec![
        format!("eyot {}", env!("CARGO_PKG_VERSION")),
        format!("JavaScript  {}", if cfg!(feature = "v8") { "built in" } else { NO_JAVASCRIPT }),
        format!("home        {}", path(home.dir.as_deref())),
        format!("cache       {}", path(home.cache.as_deref())),
    ];
    for (name, what) in FILES {
        let found = home.file(name);
        let state = found
            .as_deref()
            .map_or("missing: run `cargo xtask setup`, or set EYOT_HOME".to_owned(), |path| path.display().to_string());
        lines.push(format!("{name:<11} {state} ({what})"));
    }
    lines.join("\n")
}

/// What is said where JavaScript was left out.
pub const NO_JAVASCRIPT: &str =
    "JavaScript is not built in: V8's library was missing when eyot was built; `cargo xtask setup` says how to get it";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said() {
        let home = Home { dir: None, cache: Some("/c".into()) };
        assert!(text(&home).contains("base.img    missing"));
        assert_eq!(json(&home)["code"], "/c/code");
        assert_eq!(json(&home)["files"]["base.img"], Value::Null);
    }
}
