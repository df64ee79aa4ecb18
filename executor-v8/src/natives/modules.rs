//! `internalBinding('modules')`: `package.json` files.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::env::{Env, env};
use crate::js::{self, Args, Ret, Scope, Value};
use crate::registry::Registry;

/// What the loader needs of a `package.json`; `imports` and `exports` are kept as text, because their order matters.
struct Package {
    path: String,
    name: Option<String>,
    main: Option<String>,
    kind: &'static str,
    imports: Option<String>,
    exports: Option<String>,
}

enum ReadError {
    Absent,
    Malformed,
}

fn parse(path: &str, text: &[u8]) -> Option<Package> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let fields: HashMap<String, &RawValue> = serde_json::from_slice(text).ok()?;
    let raw = |k: &str| fields.get(k).map(|v| v.get().trim());
    let text = |k: &str| raw(k).and_then(|v| serde_json::from_str::<String>(v).ok());
    let structure = |k: &str| raw(k).filter(|v| v.starts_with(['{', '['])).map(ToOwned::to_owned);
    let kind = match text("type").as_deref() {
        Some("module") => "module",
        Some("commonjs") => "commonjs",
        _ => "none",
    };
    Some(Package {
        path: path.to_owned(),
        name: text("name"),
        main: text("main"),
        kind,
        imports: structure("imports").or_else(|| text("imports")),
        exports: structure("exports").or_else(|| text("exports")),
    })
}

fn read(env: &Env, path: &str) -> Result<Package, ReadError> {
    let text = env.sys.read_file(path.as_bytes()).map_err(|_| ReadError::Absent)?;
    parse(path, &text).ok_or(ReadError::Malformed)
}

fn serialize<'s>(scope: &Scope<'s, '_>, p: &Package) -> Value<'s> {
    let text = |v: &Option<String>| v.as_ref().map_or_else(|| js::undefined(scope), |v| js::string(scope, v).into());
    let parts = [
        text(&p.name),
        text(&p.main),
        js::string(scope, p.kind).into(),
        text(&p.imports),
        text(&p.exports),
        js::string(scope, &p.path).into(),
    ];
    v8::Array::new_with_elements(scope, &parts).into()
}

fn throw_malformed(scope: &Scope<'_, '_>, path: &str, base: Option<&str>, specifier: Option<&str>) {
    let mut text = format!("Invalid package config {path}.");
    if let Some(base) = base {
        text = match specifier {
            Some(s) => format!("Invalid package config {path} while importing \"{s}\" from {base}."),
            None => format!("Invalid package config {path} while importing {base}."),
        };
    }
    js::throw_with_code(scope, js::Kind::Error, "ERR_INVALID_PACKAGE_CONFIG", &text);
}

/// `readPackageJSON(path, isESM, base, specifier)`.
fn read_package_json<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(path) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "the path must be a string");
    };
    match read(&env(scope), &path) {
        Ok(p) => ret.set(serialize(scope, &p)),
        Err(ReadError::Absent) => {}
        Err(ReadError::Malformed) => {
            let (base, specifier) = (js::rust_string(scope, args.get(2)), js::rust_string(scope, args.get(3)));
            throw_malformed(scope, &path, base.as_deref(), specifier.as_deref());
        }
    }
}

/// Looks for a `package.json` from the directory of `path` upwards, not out of a `node_modules`.
fn nearest(env: &Env, path: &str) -> Result<Package, ReadError> {
    let mut dir = path.rsplit_once('/').map_or("", |(d, _)| d);
    loop {
        if dir.ends_with("/node_modules") {
            return Err(ReadError::Absent);
        }
        match read(env, &format!("{dir}/package.json")) {
            Err(ReadError::Absent) => {}
            found => return found,
        }
        match dir.rsplit_once('/') {
            Some((up, _)) => dir = up,
            None => return Err(ReadError::Absent),
        }
    }
}

fn nearest_type<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(path) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "the path must be a string");
    };
    let kind = match nearest(&env(scope), &path) {
        Ok(p) => p.kind,
        Err(ReadError::Absent) => "none",
        Err(ReadError::Malformed) => return throw_malformed(scope, &path, None, None),
    };
    ret.set(js::string(scope, kind).into());
}

fn nearest_package<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(path) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "the path must be a string");
    };
    match nearest(&env(scope), &path) {
        Ok(p) => ret.set(serialize(scope, &p)),
        Err(ReadError::Absent) => {}
        Err(ReadError::Malformed) => throw_malformed(scope, &path, None, None),
    }
}

fn file_path(scope: &Scope<'_, '_>, v: Value<'_>) -> Option<String> {
    let href = js::rust_string(scope, v)?;
    let url = ada_url::Url::parse(&href, None).ok()?;
    (url.protocol() == "file:").then(|| percent_decode(url.pathname()))
}

fn percent_decode(s: &str) -> String {
    let mut out = Vec::with_capacity(s.len());
    let mut bytes = s.bytes();
    while let Some(b) = bytes.next() {
        let hex = |c: u8| char::from(c).to_digit(16);
        let mut ahead = bytes.clone();
        match (b, ahead.next().and_then(hex), ahead.next().and_then(hex)) {
            (b'%', Some(a), Some(c)) => {
                out.push((a * 16 + c) as u8);
                bytes = ahead;
            }
            _ => out.push(b),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `getPackageScopeConfig(url)`: the package, or the path where the search ended.
fn package_scope_config<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let path = file_path(scope, args.get(0)).unwrap_or_else(|| "/".into());
    match nearest(&env(scope), &path) {
        Ok(p) => ret.set(serialize(scope, &p)),
        Err(ReadError::Absent) => ret.set(js::string(scope, "/package.json").into()),
        Err(ReadError::Malformed) => throw_malformed(scope, &path, None, None),
    }
}

fn package_type<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(path) = file_path(scope, args.get(0)) else { return };
    match nearest(&env(scope), &path) {
        Ok(p) if p.kind != "none" => ret.set(js::string(scope, p.kind).into()),
        Err(ReadError::Malformed) => throw_malformed(scope, &path, None, None),
        _ => {}
    }
}

/// The compile cache of Node is not offered: status `DISABLED`.
fn enable_compile_cache<'s>(scope: &mut Scope<'s, '_>, _args: Args<'s>, mut ret: Ret<'s>) {
    let parts = [js::int(scope, 3)];
    ret.set(v8::Array::new_with_elements(scope, &parts).into());
}

pub(super) fn register(r: &mut Registry) {
    r.add("modules.readPackageJSON", read_package_json);
    r.add("modules.getNearestParentPackageJSONType", nearest_type);
    r.add("modules.getNearestParentPackageJSON", nearest_package);
    r.add("modules.getPackageScopeConfig", package_scope_config);
    r.add("modules.getPackageType", package_type);
    r.add("modules.enableCompileCache", enable_compile_cache);
    r.add("modules.getCompileCacheDir", crate::shape::nothing);
    r.add("modules.getCompileCacheEntry", crate::shape::nothing);
    r.add("modules.setLazyPathHelpers", crate::shape::nothing);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_of_exports() {
        let p = parse("/p", br#"{"name":"a","exports":{"z":1,"a":2},"type":"module","main":3}"#).unwrap();
        assert_eq!(p.exports.as_deref(), Some(r#"{"z":1,"a":2}"#));
        assert_eq!((p.kind, p.main), ("module", None));
        assert!(parse("/p", b"{").is_none());
    }

    #[test]
    fn decodes_percents() {
        assert_eq!(percent_decode("/a%20b%zz%4"), "/a b%zz%4");
    }
}
