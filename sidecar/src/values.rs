//! Values of options: mounts, variables, paths, times, sizes. Each is checked here, and each refusal says what would do.

use std::path::PathBuf;
use std::time::Duration;

/// `GUEST=SPEC`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// The directory of the VM, absolute, without `.` and `..`.
    pub guest: String,
    /// What is mounted.
    pub spec: MountSpec,
}

/// What can be mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSpec {
    /// A new, empty filesystem in memory.
    Memfs,
    /// A plug-in: a component that exports `eyot:backend`.
    Component(PathBuf),
    /// A directory of the host.
    Host {
        /// The directory.
        dir: PathBuf,
        /// Whether the VM may only read it.
        read_only: bool,
    },
}

/// `NAME=VALUE`, or a NAME whose value is the host's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
}

/// Reads a mount.
pub fn mount(text: &str) -> Result<MountPoint, String> {
    let usage = "write GUEST=SPEC, for example /data=host:./data:ro, /m=component:memfs.wasm or /scratch=memfs";
    let (guest, spec) = text.split_once('=').ok_or_else(|| format!("no `=` in it; {usage}"))?;
    let guest = absolute(guest)?;
    if guest == "/" {
        return Err("the root of the VM can't be mounted over; choose a directory in it, such as /data".into());
    }
    Ok(MountPoint { guest, spec: mount_spec(spec)? })
}

fn mount_spec(text: &str) -> Result<MountSpec, String> {
    let (kind, rest) = text.split_once(':').map_or((text, None), |(kind, rest)| (kind, Some(rest)));
    match (kind, rest) {
        ("memfs", None) => Ok(MountSpec::Memfs),
        ("memfs", Some(_)) => Err("memfs takes no argument".into()),
        ("component", Some(file)) if !file.is_empty() => Ok(MountSpec::Component(file.into())),
        ("component", _) => Err("component needs a file: component:FILE".into()),
        ("host", Some(rest)) => {
            let (dir, read_only) = match (rest.strip_suffix(":ro"), rest.strip_suffix(":rw")) {
                (Some(dir), _) => (dir, true),
                (None, Some(dir)) => (dir, false),
                (None, None) => (rest, false),
            };
            if dir.is_empty() {
                return Err("host needs a directory: host:DIR or host:DIR:ro".into());
            }
            Ok(MountSpec::Host { dir: dir.into(), read_only })
        }
        ("host", None) => Err("host needs a directory: host:DIR or host:DIR:ro".into()),
        _ => Err(format!("unknown mount type `{kind}`; there are memfs, component:FILE, host:DIR and host:DIR:ro")),
    }
}

/// Reads an absolute path of the VM, and writes it plainly: no empty parts, no `.`.
pub fn absolute(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err(format!("`{text}` is not an absolute path of the VM; begin it with /"));
    }
    if text.contains('\0') {
        return Err("a path can't contain a NUL byte".into());
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(format!("`{text}` contains `..`; write the path without it"));
    }
    Ok(format!("/{}", parts.join("/")))
}

/// Reads a variable.
pub fn variable(text: &str) -> Result<Variable, String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => match std::env::var(text) {
            Ok(value) => (text, value),
            Err(_) => return Err(format!("the host has no variable {text} in UTF-8; write {text}=VALUE")),
        },
    };
    if name.is_empty() || name.contains('\0') || value.contains('\0') {
        return Err("write NAME=VALUE with a NAME, and no NUL byte in either".into());
    }
    Ok(Variable { name: name.to_owned(), value })
}

/// Reads a time: a number of seconds, or one with the unit ms, s, m or h.
pub fn duration(text: &str) -> Result<Duration, String> {
    let usage = || format!("`{text}` is not a time; write 90, 1.5s, 200ms, 5m or 1h");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(usage()),
    };
    let seconds: f64 = number.parse().map_err(|_| usage())?;
    let time = Duration::try_from_secs_f64(seconds * factor).map_err(|_| usage())?;
    if time.is_zero() { Err("a timeout of nothing would end the VM before it begins".into()) } else { Ok(time) }
}

/// Reads a size in bytes, with K, M, G (powers of 1,024) and an optional B or iB.
pub fn size_bytes(text: &str) -> Result<u64, String> {
    let usage = || format!("`{text}` is not a size; write 512M, 2G or a number of bytes");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return Err(usage()),
    };
    let number: u64 = number.parse().map_err(|_| usage())?;
    let bytes = number.checked_mul(1 << shift).ok_or_else(usage)?;
    if bytes == 0 { Err("a VM without memory can't run anything".into()) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> MountSpec {
        mount(text).unwrap().spec
    }

    #[test]
    fn mounts_are_read() {
        assert_eq!(mount("/m=memfs").unwrap(), MountPoint { guest: "/m".into(), spec: MountSpec::Memfs });
        assert_eq!(spec("/m=component:a.wasm"), MountSpec::Component("a.wasm".into()));
        assert_eq!(spec("/m=host:/a:ro"), MountSpec::Host { dir: "/a".into(), read_only: true });
        assert_eq!(spec("/m=host:/a:rw"), MountSpec::Host { dir: "/a".into(), read_only: false });
        assert_eq!(spec("/m=host:/a=b:c"), MountSpec::Host { dir: "/a=b:c".into(), read_only: false });
        assert_eq!(mount("//a/./b/=memfs").unwrap().guest, "/a/b");
    }

    #[test]
    fn wrong_mounts_say_what_would_do() {
        for (text, part) in [
            ("/m", "no `=`"),
            ("m=memfs", "begin it with /"),
            ("/=memfs", "can't be mounted over"),
            ("/a/../b=memfs", "`..`"),
            ("/m=", "unknown mount type ``"),
            ("/m=s3:bucket", "unknown mount type `s3`"),
            ("/m=memfs:1", "no argument"),
            ("/m=component", "component:FILE"),
            ("/m=component:", "component:FILE"),
            ("/m=host", "host:DIR"),
            ("/m=host:", "host:DIR"),
            ("/m=host::ro", "host:DIR"),
        ] {
            let error = mount(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn variables_are_read() {
        assert_eq!(variable("A=b=c").unwrap(), Variable { name: "A".into(), value: "b=c".into() });
        assert_eq!(variable("A=").unwrap().value, "");
        assert_eq!(variable("PATH").unwrap().value, std::env::var("PATH").unwrap());
        assert!(variable("=x").is_err());
        assert!(variable("EYOT_NO_SUCH_VARIABLE").unwrap_err().contains("EYOT_NO_SUCH_VARIABLE=VALUE"));
    }

    #[test]
    fn times_are_read() {
        for (text, ms) in [("90", 90_000), ("1.5s", 1_500), ("200ms", 200), ("5m", 300_000), ("1h", 3_600_000)] {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(ms), "{text}");
        }
        for text in ["", "s", "-1", "1d", "1.2.3", "0", "1e400", "nan", "99999999999999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [("1", 1), ("2k", 2048), ("512M", 512 << 20), ("3GiB", 3 << 30), ("4KB", 4096)] {
            assert_eq!(size_bytes(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "M", "-1", "1T", "1.5G", "0", "99999999999G"] {
            assert!(size_bytes(text).is_err(), "{text}");
        }
    }
}
