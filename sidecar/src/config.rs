//! A VM described in a file: TOML, or JSON when the file's name says so.

use std::path::Path;

use eyot_kernel::vm::VmConfig;

use crate::failure::Failure;
use crate::values;

/// Reads it. Relative sources are relative to where the command runs, as on the command line.
pub fn read(file: &Path) -> Result<VmConfig, Failure> {
    let name = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    let json = file.extension().is_some_and(|extension| extension == "json");
    let config: VmConfig = if json {
        serde_json::from_str(&text).map_err(|error| Failure::usage(format!("{name}: {error}")))?
    } else {
        toml::from_str(&text).map_err(|error| Failure::usage(format!("{name}: {}", error.to_string().trim_end())))?
    };
    check_paths(&config).map_err(|why| Failure::usage(format!("{name}: {why}")))?;
    Ok(config)
}

fn check_paths(config: &VmConfig) -> Result<(), String> {
    for path in config.mounts.keys() {
        let plain = values::absolute(path).map_err(|why| format!("mounts: {why}"))?;
        if plain == "/" {
            return Err("mounts: the root of the VM can't be mounted over; choose a directory in it".into());
        }
    }
    let directory = config.working_directory.as_deref();
    directory.map_or(Ok(()), |directory| {
        values::absolute(directory).map(drop).map_err(|why| format!("working_directory: {why}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        (dir, file)
    }

    #[test]
    fn toml_and_json_are_read() {
        let (_dir, toml) = write("vm.toml", "[mounts.\"/m\"]\ntype = \"memfs\"\n");
        let (_dir2, json) = write("vm.json", r#"{ "mounts": { "/m": { "type": "memfs" } } }"#);
        assert_eq!(read(&toml).unwrap(), read(&json).unwrap());
    }

    #[test]
    fn what_is_wrong_is_said_with_the_file() {
        for (name, text, part) in [
            ("vm.toml", "mount = 1", "unknown field"),
            ("vm.toml", "[mounts.\"/\"]\ntype = \"memfs\"", "can't be mounted over"),
            ("vm.toml", "[mounts.\"m\"]\ntype = \"memfs\"", "begin it with /"),
            ("vm.json", "{", "EOF"),
        ] {
            let (_dir, file) = write(name, text);
            let failure = read(&file).unwrap_err();
            assert!(
                failure.code == 2 && failure.message.contains(name) && failure.message.contains(part),
                "{failure:?}"
            );
        }
        assert_eq!(read(Path::new("no/such/file.toml")).unwrap_err().code, 2);
    }
}
