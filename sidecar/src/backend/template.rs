//! The templates, which are part of the command, and how they are filled in.
//!
//! In a template `{{name}}`, `{{module}}` (the name with `_`), `{{world}}` and the like stand for values. A line with `{{#mount}}` or `{{#filesystem}}`
//! begins lines that are for that world only, until a line with `{{/}}`; none of the three is kept.

use super::options::Language;

/// A file of a project.
pub struct File {
    /// Where it goes.
    pub path: &'static str,
    /// What is in it.
    pub text: &'static str,
    /// Whether it can be run.
    pub is_executable: bool,
    /// Whether it is taken as it is.
    pub is_verbatim: bool,
}

macro_rules! files {
    ($($path:literal = $source:literal),* $(,)?) => {
        &[$(File {
            path: $path,
            text: include_str!(concat!("../../templates/", $source)),
            is_executable: false,
            is_verbatim: false,
        }),*]
    };
}

macro_rules! wit {
    ($($name:literal),* $(,)?) => {
        &[$(File {
            path: concat!("wit/", $name),
            text: include_str!(concat!("../../../wit/backend/", $name)),
            is_executable: false,
            is_verbatim: true,
        }),*]
    };
}

/// The package `eyot:backend`, as this command knows it.
const WIT: &[File] = wit!["types.wit", "clock.wit", "transfer.wit", "filesystem.wit", "mount.wit"];

const RUST: &[File] = files![
    "Cargo.toml" = "rust/Cargo.toml.in",
    ".cargo/config.toml" = "rust/cargo-config.toml",
    "src/lib.rs" = "rust/src/lib.rs",
    "src/tree.rs" = "rust/src/tree.rs",
    "test.sh" = "rust/test.sh",
    "README.md" = "rust/README.md",
    ".gitignore" = "rust/gitignore",
];

const C: &[File] = files![
    "build.sh" = "c/build.sh",
    "src/backend.c" = "c/src/backend.c",
    "src/tree.c" = "c/src/tree.c",
    "src/tree.h" = "c/src/tree.h",
    "test.sh" = "c/test.sh",
    "README.md" = "c/README.md",
    ".gitignore" = "c/gitignore",
];

const JS: &[File] = files![
    "package.json" = "js/package.json",
    "build.mjs" = "js/build.mjs",
    "src/backend.js" = "js/src/backend.js",
    "README.md" = "js/README.md",
    ".gitignore" = "js/gitignore",
];

const PYTHON: &[File] = files![
    "build.sh" = "python/build.sh",
    "requirements.txt" = "python/requirements.txt",
    "backend.py" = "python/backend.py",
    "test.sh" = "python/test.sh",
    "README.md" = "python/README.md",
    ".gitignore" = "python/gitignore",
];

/// The files of a project in a language.
pub fn files(language: Language) -> impl Iterator<Item = &'static File> {
    let own = match language {
        Language::Rust => RUST,
        Language::C => C,
        Language::Js => JS,
        Language::Python => PYTHON,
    };
    own.iter().chain(WIT)
}

/// The language's name.
pub const fn language(language: Language) -> &'static str {
    match language {
        Language::Rust => "Rust",
        Language::C => "C",
        Language::Js => "JavaScript",
        Language::Python => "Python",
    }
}

/// What a template is filled with.
pub struct Values {
    /// The project's name.
    pub name: String,
    /// Whether it is for the world with settings.
    pub with_settings: bool,
}

impl Values {
    /// The name where `-` is not allowed.
    pub fn module(&self) -> String {
        self.name.replace('-', "_")
    }
}

/// Fills a template in.
pub fn fill(text: &str, values: &Values) -> String {
    let (world, module) = match values.with_settings {
        true => ("mount-backend", "mount_backend"),
        false => ("filesystem-backend", "filesystem_backend"),
    };
    let mut filled = String::with_capacity(text.len());
    let mut is_kept = true;
    for line in text.lines() {
        if line.contains("{{#mount}}") {
            is_kept = values.with_settings;
        } else if line.contains("{{#filesystem}}") {
            is_kept = !values.with_settings;
        } else if line.contains("{{/}}") {
            is_kept = true;
        } else if is_kept {
            filled += line;
            filled.push('\n');
        }
    }
    filled
        .replace("{{name}}", &values.name)
        .replace("{{module}}", &values.module())
        .replace("{{world}}", world)
        .replace("{{world_module}}", module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_to_fill_in() {
        for with_settings in [false, true] {
            let values = Values { name: "notes-fs".into(), with_settings };
            for language in [Language::Rust, Language::C, Language::Js, Language::Python] {
                for file in files(language).filter(|file| !file.is_verbatim) {
                    let text = fill(file.text, &values);
                    assert!(!text.contains("{{") && !text.is_empty(), "{} of {language:?}", file.path);
                }
            }
        }
    }

    #[test]
    fn lines_of_the_other_world_are_left_out() {
        let fill = |with_settings| {
            fill("a\n// {{#mount}}\nm {{name}}\n# {{/}}\nb\n", &Values { name: "n".into(), with_settings })
        };
        assert_eq!(fill(true), "a\nm n\nb\n");
        assert_eq!(fill(false), "a\nb\n");
    }

    #[test]
    fn the_wit_is_the_whole_package() {
        assert!(WIT.iter().all(|file| file.text.starts_with("package eyot:backend@0.1.0;")));
    }
}
