//! How a host's script is started. Files of the host need not have their execute bit set for `eyot run`, as they need not for
//! `node FILE`, so the interpreter is named here instead of being found by the kernel.

use std::path::Path;

use crate::session::Program;

/// The program of the VM that runs a script with this name and these first bytes; none: the file is its own program.
pub fn of(name: &str, head: &[u8]) -> Option<&'static str> {
    let suffix = Path::new(name).extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    if let "js" | "cjs" | "mjs" | "ts" | "cts" | "mts" = suffix {
        return Some("node");
    }
    let line = head.strip_prefix(b"#!").and_then(|rest| rest.split(|byte| *byte == b'\n').next());
    let line = line.and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    let mut words = line.split_whitespace().map(|word| word.rsplit('/').next().unwrap_or(word));
    // `#!/usr/bin/env -S node --flag`: the first word that is neither env nor an option of it.
    let asked = words.find(|word| *word != "env" && !word.starts_with('-'));
    match asked {
        Some("node") => Some("node"),
        Some("sh" | "bash" | "dash") => Some("sh"),
        Some(_) => None,
        None if suffix == "sh" => Some("sh"),
        None => None,
    }
}

/// The command that runs the file at `path` of the VM with `args`.
pub fn command(path: String, head: &[u8], args: Vec<String>) -> Program {
    match of(&path, head) {
        Some(interpreter) => {
            let args = std::iter::once(path).chain(args).collect();
            Program { path: interpreter.to_owned(), arg0: None, args, interactive: false }
        }
        None => Program { path, arg0: None, args, interactive: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_known_by_suffix_or_first_line() {
        for (name, head, interpreter) in [
            ("/a/x.js", "", Some("node")),
            ("/a/x.mjs", "import 'a'", Some("node")),
            ("/a/x.sh", "echo", Some("sh")),
            ("/a/x", "#!/bin/sh -e\n", Some("sh")),
            ("/a/x", "#!/usr/bin/env node\n", Some("node")),
            ("/a/x", "#!/usr/bin/env -S node --x\n", Some("node")),
            ("/a/x", "#!/usr/bin/python3\n", None),
            ("/a/x.wasm", "\0asm", None),
            ("/a/x", "", None),
        ] {
            assert_eq!(of(name, head.as_bytes()), interpreter, "{name} {head:?}");
        }
    }

    #[test]
    fn the_script_is_its_interpreters_first_argument() {
        let program = command("/a/x.js".into(), b"", vec!["1".into()]);
        assert_eq!((program.path.as_str(), program.args), ("node", vec!["/a/x.js".to_owned(), "1".to_owned()]));
    }
}
