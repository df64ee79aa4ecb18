//! Small, checked changes to other people's source: new files, and replacements at anchors.
//!
//! A change is described in a TOML file beside the new files. An anchor that is missing or not unique stops the build:
//! a source that moved on must be looked at, not guessed at.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::{Error, Result};

/// The changes one `edits.toml` describes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Edits {
    /// The versions of the source these fit, when there are several.
    #[serde(default)]
    versions: Vec<String>,
    #[serde(default)]
    add: Vec<Add>,
    #[serde(default)]
    edit: Vec<Edit>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Add {
    source: String,
    to: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    /// The one version of the source it is for.
    only: Option<String>,
    why: String,
    file: String,
    anchor: String,
    replacement: String,
}

/// The versions of the source that `dir/edits.toml` fits.
pub(crate) fn versions(dir: &Path) -> Result<Vec<String>> {
    Ok(parse(&dir.join("edits.toml"))?.versions)
}

fn parse(description: &Path) -> Result<Edits> {
    toml::from_str(&read(description)?).map_err(|error| Error::new(format!("{}: {error}", description.display())))
}

/// Applies `dir/edits.toml`, whose added files lie in `dir`, to the source tree at `tree`, which is of version `version`.
pub(crate) fn apply(dir: &Path, tree: &Path, version: &str) -> Result<()> {
    let description = dir.join("edits.toml");
    let edits = parse(&description)?;
    for add in &edits.add {
        let to = tree.join(&add.to);
        if to.exists() {
            return Err(Error::new(format!(
                "{} exists already: the source has grown a file of that name",
                to.display()
            )));
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent).map_err(|error| Error::io("make", parent, error))?;
        }
        write(&to, &read(&dir.join(&add.source))?)?;
    }
    for edit in edits.edit.iter().filter(|edit| edit.only.as_deref().is_none_or(|only| only == version)) {
        let path = tree.join(&edit.file);
        let changed = replace_once(&read(&path)?, &edit.anchor, &edit.replacement).map_err(|found| {
            Error::new(format!(
                "{}: the anchor of the edit \"{}\" occurs {found} times instead of once; \
                 the source has changed, so {} must be brought up to it",
                path.display(),
                edit.why,
                description.display()
            ))
        })?;
        write(&path, &changed)?;
    }
    Ok(())
}

/// Replaces the single occurrence of `anchor`; answers how many there are when that is not one. A TOML text block that
/// starts with a line break has lost it, so anchors are compared without the one that may end them.
fn replace_once(text: &str, anchor: &str, replacement: &str) -> std::result::Result<String, usize> {
    let anchor = anchor.trim_end_matches('\n');
    match text.matches(anchor).count() {
        1 if !anchor.is_empty() => Ok(text.replacen(anchor, replacement.trim_end_matches('\n'), 1)),
        found => Err(found),
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Error::io("read", path, error))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| Error::io("write", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anchor_must_occur_exactly_once() {
        assert_eq!(replace_once("a b c", "b\n", "x\n"), Ok("a x c".to_owned()));
        assert_eq!(replace_once("a b b", "b", "x"), Err(2));
        assert_eq!(replace_once("a", "b", "x"), Err(0));
        assert!(replace_once("a", "", "x").is_err());
    }

    #[test]
    fn a_missing_anchor_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join("f.rs"), "fn a() {}").unwrap();
        let toml = "[[edit]]\nwhy = \"tests\"\nfile = \"f.rs\"\nanchor = \"fn b()\"\nreplacement = \"\"\n";
        fs::write(dir.path().join("edits.toml"), toml).unwrap();
        let message = apply(dir.path(), &tree, "1").unwrap_err().to_string();
        assert!(message.contains("\"tests\" occurs 0 times"), "{message}");
    }

    #[test]
    fn an_edit_for_one_version_leaves_the_others_alone() {
        let dir = tempfile::tempdir().unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let edit = |only: &str| {
            format!(
                "[[edit]]\nonly = \"{only}\"\nwhy = \"tests\"\nfile = \"f.rs\"\nanchor = \"a\"\nreplacement = \"{only}\"\n"
            )
        };
        let toml = format!("versions = [\"1\", \"2\"]\n{}{}", edit("1"), edit("2"));
        fs::write(dir.path().join("edits.toml"), toml).unwrap();
        assert_eq!(versions(dir.path()).unwrap(), ["1", "2"]);
        fs::write(tree.join("f.rs"), "a").unwrap();
        apply(dir.path(), &tree, "2").unwrap();
        assert_eq!(fs::read_to_string(tree.join("f.rs")).unwrap(), "2");
    }
}
