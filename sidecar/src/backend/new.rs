//! `eyot backend new`: a project on disk.

use std::fs;
use std::path::Path;

use super::options::{Language, NewOptions, WorldOption};
use super::template::{self, Values};
use crate::failure::Failure;

const NAME_CHARS_MAX: usize = 64;

/// A name that every language's tools take, and that is a plain name of a directory.
pub fn check_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = text.chars().next().is_some_and(|c| c.is_ascii_lowercase());
    let ends = !text.ends_with('-') && !text.contains("--");
    if text.len() > NAME_CHARS_MAX || !begins || !ends || !text.chars().all(plain) {
        return Err(format!(
            "write lower-case letters, digits and single `-` between them, beginning with a letter, at most {NAME_CHARS_MAX}: \
             notes-fs"
        ));
    }
    if matches!(text, "test" | "core" | "std" | "alloc" | "app" | "wit" | "build" | "deps") {
        return Err("this name means something to the tools; choose another".into());
    }
    Ok(text.to_owned())
}

/// Makes the directory and says how to go on.
pub fn run(options: &NewOptions) -> Result<u8, Failure> {
    let dir = Path::new(&options.name);
    let is_empty = |dir: &Path| fs::read_dir(dir).map(|mut entries| entries.next().is_none());
    match is_empty(dir) {
        Ok(true) => {}
        Ok(false) => {
            let what = "the directory is there and holds something; choose another name, or empty it first";
            return Err(Failure::setup(format!("{}: {what}", options.name)));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Failure::setup(format!("{}: {error}; choose another name", options.name))),
    }
    let values = Values { name: options.name.clone(), with_settings: options.world == WorldOption::Mount };
    for file in template::files(options.lang) {
        let path = dir.join(file.path.replace("{{module}}", &values.module()));
        let text = if file.is_verbatim { file.text.to_owned() } else { template::fill(file.text, &values) };
        write(&path, &text, file.is_executable)
            .map_err(|error| Failure::setup(format!("{}: {error}; check the directory", path.display())))?;
    }
    let (build, made) = steps(options.lang, &values);
    crate::print(&format!(
        "{name}: a backend in {lang} for eyot:backend {version}\n\n  cd {name}\n  {build}\n  eyot backend test {made}\n\n\
         {name}/README.md has the details.\n",
        name = options.name,
        lang = template::language(options.lang),
        version = eyot_kernel::plugin::PUBLISHED.last().copied().unwrap_or_default(),
    ))
}

fn write(path: &Path, text: &str, is_executable: bool) -> std::io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(path, text)?;
    if is_executable {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// The one command that builds, and what it makes.
fn steps(language: Language, values: &Values) -> (&'static str, String) {
    let made = format!("{}.wasm", values.name);
    match language {
        Language::Rust => {
            ("cargo build --release", format!("target/wasm32-unknown-unknown/release/{}.wasm", values.module()))
        }
        Language::C => ("sh build.sh", made),
        Language::Js => ("npm install && npm run build", made),
        Language::Python => ("sh build.sh", made),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for name in ["a", "notes", "notes-fs2"] {
            assert_eq!(check_name(name).as_deref(), Ok(name));
        }
        for name in ["", "A", "1a", "-a", "a-", "a--b", "a_b", "a/b", "..", "/tmp/x", "ü", "test", &"a".repeat(65)] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
