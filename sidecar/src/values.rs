//! Values of options: mounts, variables, paths, times, sizes. Each is checked here, and each refusal says what would do.

use std::time::Duration;

use eyot_kernel::vm::{MountConfig, SettingValue};

use crate::mounts;

/// `GUEST=SPEC`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// The directory of the VM, absolute, without `.` and `..`.
    pub guest: String,
    /// What is mounted.
    pub mount: MountConfig,
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
    Ok(MountPoint { guest, mount: mount_spec(spec)? })
}

/// Reads what is mounted: `TYPE[:SOURCE][,ro][,KEY=VALUE]...`; for a component or a layer also `,layer=SPEC`, for a component `,preopen=/PATH=SPEC`, without options of their own.
pub fn mount_spec(text: &str) -> Result<MountConfig, String> {
    let (front, options) = split_options(text);
    let (kind, rest) = front.split_once(':').map_or((front, None), |(kind, rest)| (kind, Some(rest)));
    let known = mounts::TYPES.iter().find(|known| known.name == kind).ok_or_else(|| {
        let usages: Vec<&str> = mounts::TYPES.iter().map(|known| known.usage).collect();
        format!("unknown mount type `{kind}`; there are {}", usages.join(", "))
    })?;
    let mut mount = MountConfig::new(kind);
    match (known.source, rest) {
        (None, Some(_)) => return Err(format!("{kind} takes no argument")),
        (None, None) => {}
        (Some(what), None | Some("")) => return Err(format!("{kind} needs {what}: {}", known.usage)),
        (Some(_), Some(rest)) if kind == "overlay" => {
            mount.layers = vec![MountConfig::new("memfs"), MountConfig { read_only: true, ..mount_spec(rest)? }];
        }
        (Some(what), Some(rest)) => {
            let (source, read_only) = match (rest.strip_suffix(":ro"), rest.strip_suffix(":rw")) {
                (Some(source), _) => (source, true),
                (None, Some(source)) => (source, false),
                (None, None) => (rest, false),
            };
            if source.is_empty() {
                return Err(format!("{kind} needs {what}: {}", known.usage));
            }
            mount.read_only = read_only;
            mount.source = Some(source.to_owned());
        }
    }
    for option in options {
        match option.split_once('=') {
            _ if option == "ro" => mount.read_only = true,
            _ if option == "rw" => mount.read_only = false,
            Some(("layer", spec)) if matches!(kind, "component" | "crypt") => mount.layers.push(mount_spec(spec)?),
            // Without a SPEC it is a setting that is called so.
            Some(("preopen", spec)) if kind == "component" && spec.contains('=') => {
                let (path, preopen) = preopen(spec)?;
                if mount.grants.preopens.insert(path.clone(), preopen).is_some() {
                    return Err(format!("preopen={path}: given twice"));
                }
            }
            Some((key, value)) if !key.is_empty() => {
                let value = SettingValue::Text(value.to_owned());
                if mount.settings.insert(key.to_owned(), value).is_some() {
                    return Err(format!("{key}: given twice"));
                }
            }
            _ => return Err(format!("`{option}` is no option of a mount; write ro, rw or KEY=VALUE")),
        }
    }
    Ok(mount)
}

/// Reads a directory that a component is granted: `/PATH=SPEC`.
pub fn preopen(text: &str) -> Result<(String, MountConfig), String> {
    let usage = "write /PATH=SPEC, for example /data=host:./data:ro";
    let (path, spec) = text.split_once('=').ok_or_else(|| format!("no `=` in `{text}`; {usage}"))?;
    Ok((absolute(path)?, mount_spec(spec)?))
}

/// The options at the end of a mount: what follows a comma and is `ro`, `rw` or looks like a setting. A comma in a file's name is none.
fn split_options(text: &str) -> (&str, Vec<&str>) {
    let is_key = |key: &str| {
        let first = key.as_bytes().first().is_some_and(u8::is_ascii_lowercase);
        first && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let is_option =
        |part: &str| matches!(part, "ro" | "rw") || part.split_once('=').is_some_and(|(key, _)| is_key(key));
    let (mut front, mut options) = (text, Vec::new());
    while let Some((before, last)) = front.rsplit_once(',') {
        if !is_option(last) {
            break;
        }
        options.push(last);
        front = before;
    }
    options.reverse();
    (front, options)
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

    fn spec(text: &str) -> MountConfig {
        mount(text).unwrap().mount
    }

    fn read_only(mount: MountConfig) -> MountConfig {
        MountConfig { read_only: true, ..mount }
    }

    #[test]
    fn mounts_are_read() {
        assert_eq!(mount("/m=memfs").unwrap(), MountPoint { guest: "/m".into(), mount: MountConfig::new("memfs") });
        assert_eq!(spec("/m=component:a.wasm"), MountConfig::new("component").source("a.wasm"));
        assert_eq!(spec("/m=host:/a:ro"), read_only(MountConfig::new("host").source("/a")));
        assert_eq!(spec("/m=host:/a,ro"), read_only(MountConfig::new("host").source("/a")));
        assert_eq!(spec("/m=host:/a:rw"), MountConfig::new("host").source("/a"));
        assert_eq!(spec("/m=host:/a=b:c"), MountConfig::new("host").source("/a=b:c"));
        assert_eq!(spec("/m=host:/a,b,C=d"), MountConfig::new("host").source("/a,b,C=d"));
        let sized = MountConfig::new("memfs").setting("bytes_max", "1M").setting("mode", "0o1777");
        assert_eq!(spec("/m=memfs,bytes_max=1M,mode=0o1777"), sized);
        let lower = read_only(MountConfig::new("host").source("."));
        assert_eq!(
            spec("/m=overlay:host:."),
            MountConfig::new("overlay").layer(MountConfig::new("memfs")).layer(lower)
        );
        assert_eq!(mount("//a/./b/=memfs").unwrap().guest, "/a/b");
    }

    #[test]
    fn what_a_component_is_granted_is_read() {
        let overlay = MountConfig::new("component").source("overlay.wasm").setting("read_only", "true");
        let layers = overlay.layer(MountConfig::new("memfs")).layer(read_only(MountConfig::new("host").source(".")));
        assert_eq!(spec("/m=component:overlay.wasm,layer=memfs,layer=host:.:ro,read_only=true"), layers);
        let granted = MountConfig::new("component")
            .source("a.wasm")
            .preopen("/data", MountConfig::new("host").source("d"))
            .preopen("/tmp", MountConfig::new("memfs"));
        assert_eq!(spec("/m=component:a.wasm,preopen=/data=host:d,preopen=/tmp=memfs"), granted);
        assert_eq!(spec("/m=component:a.wasm,preopen=/data").settings.len(), 1);
        // Another type has no such thing: it is one of its settings, if it has one of that name.
        assert_eq!(spec("/m=memfs,layer=memfs"), MountConfig::new("memfs").setting("layer", "memfs"));
    }

    #[test]
    fn wrong_mounts_say_what_would_do() {
        for (text, part) in [
            ("/m", "no `=`"),
            ("m=memfs", "begin it with /"),
            ("/=memfs", "can't be mounted over"),
            ("/a/../b=memfs", "`..`"),
            ("/m=", "unknown mount type ``"),
            ("/m=ftp:host", "unknown mount type `ftp`"),
            ("/m=memfs:1", "no argument"),
            ("/m=memfs,mode=1,mode=2", "mode: given twice"),
            ("/m=overlay:ftp:x", "unknown mount type `ftp`"),
            ("/m=component:a,preopen=data=memfs", "begin it with /"),
            ("/m=component:a,preopen=/d=memfs,preopen=/d=memfs", "given twice"),
            ("/m=component:a,layer=ftp:x", "unknown mount type `ftp`"),
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
