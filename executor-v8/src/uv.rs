//! Errors in libuv's words: `ENOENT: no such file or directory, open '/x'`, with `errno`, `code`, `syscall`, `path`, `dest`.

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::artefact::{Artefact, Shape};
use crate::env::Env;
use crate::js::{self, Scope};
use crate::sys::Errno;

fn text(s: &Shape) -> Option<String> {
    match s {
        Shape::V { v: serde_json::Value::String(s) } => Some(s.clone()),
        _ => None,
    }
}

fn load(artefact: &Artefact) -> HashMap<i32, (String, String)> {
    let mut table = HashMap::new();
    if let Ok(Some(Shape::Map { v })) = artefact.result("uv.getErrorMap") {
        for (k, v) in v {
            let (Shape::V { v: serde_json::Value::Number(n) }, Shape::Arr { v }) = (k, v) else { continue };
            let Some(n) = n.as_f64() else { continue };
            if let [name, message] = v.as_slice()
                && let (Some(name), Some(message)) = (text(name), text(message))
            {
                // errnos
                table.insert(-(n as i32), (name, message));
            }
        }
    }
    table
}

impl Env {
    /// The name and message of an errno (positive), from Node's own table.
    pub(crate) fn sys_error(&self, errno: i32) -> (String, String) {
        static TABLE: OnceLock<HashMap<i32, (String, String)>> = OnceLock::new();
        let table = TABLE.get_or_init(|| load(self.artefact));
        table
            .get(&errno)
            .cloned()
            .unwrap_or_else(|| (format!("Unknown system error {errno}"), format!("Unknown system error {errno}")))
    }

    /// Throws what Node throws when a system call fails.
    pub(crate) fn throw_uv(
        &self,
        scope: &Scope<'_, '_>,
        e: Errno,
        syscall: &str,
        path: Option<&[u8]>,
        dest: Option<&[u8]>,
    ) {
        let v = self.uv_exception(scope, e, syscall, path, dest);
        scope.throw_exception(v);
    }

    /// The error object itself.
    pub(crate) fn uv_exception<'s>(
        &self,
        scope: &Scope<'s, '_>,
        e: Errno,
        syscall: &str,
        path: Option<&[u8]>,
        dest: Option<&[u8]>,
    ) -> js::Value<'s> {
        let (code, message) = self.sys_error(e.0);
        let mut text = format!("{code}: {message}, {syscall}");
        if let Some(p) = path {
            text.push_str(&format!(" '{}'", String::from_utf8_lossy(p)));
        }
        if let Some(d) = dest {
            text.push_str(&format!(" -> '{}'", String::from_utf8_lossy(d)));
        }
        let error = v8::Exception::error(scope, js::string(scope, &text));
        if let Ok(o) = error.try_cast::<v8::Object>() {
            let v = js::int(scope, -e.0);
            js::set(scope, o, "errno", v);
            let v = js::string(scope, &code);
            js::set(scope, o, "code", v.into());
            let v = js::string(scope, syscall);
            js::set(scope, o, "syscall", v.into());
            for (name, bytes) in [("path", path), ("dest", dest)] {
                if let Some(v) = bytes.and_then(|b| js::string_lossy(scope, b)) {
                    js::set(scope, o, name, v.into());
                }
            }
        }
        error
    }
}
