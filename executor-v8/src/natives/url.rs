//! `internalBinding('url')`, on the parser that Node itself uses.

use ada_url::Url;

use crate::env::{Env, Root, env};
use crate::js::{self, Args, Ret, Scope, Value};
use crate::registry::Registry;

/// What a component that is absent is called in the shared array.
const OMITTED: u32 = u32::MAX;

fn scheme_type(protocol: &str) -> u32 {
    match protocol {
        "http:" => 0,
        "https:" => 2,
        "ws:" => 3,
        "ftp:" => 4,
        "wss:" => 5,
        "file:" => 6,
        _ => 1,
    }
}

/// Tells the library where the parts of `url` lie, and answers its text.
fn publish<'s>(scope: &Scope<'s, '_>, env: &Env, url: &Url) -> Value<'s> {
    let c = url.components();
    let fields = [
        c.protocol_end,
        c.username_end,
        c.host_start,
        c.host_end,
        c.port.unwrap_or(OMITTED),
        c.pathname_start.unwrap_or(OMITTED),
        c.search_start.unwrap_or(OMITTED),
        c.hash_start.unwrap_or(OMITTED),
        scheme_type(url.protocol()),
    ];
    for (i, f) in fields.into_iter().enumerate() {
        env.write::<u32>(Root::UrlComponents, i, f);
    }
    js::string(scope, url.href()).into()
}

fn throw_invalid(scope: &Scope<'_, '_>, input: &str, base: Option<&str>) {
    let e = v8::Exception::type_error(scope, js::string(scope, "Invalid URL"));
    if let Ok(o) = e.try_cast::<v8::Object>() {
        let code = js::string(scope, "ERR_INVALID_URL");
        js::set(scope, o, "code", code.into());
        let input = js::string(scope, input);
        js::set(scope, o, "input", input.into());
        if let Some(base) = base {
            let base = js::string(scope, base);
            js::set(scope, o, "base", base.into());
        }
    }
    scope.throw_exception(v8::Local::new(scope, e));
}

/// `parse(input, base, raise)`.
fn parse<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(input) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "the URL must be a string");
    };
    let base = js::rust_string(scope, args.get(1));
    match Url::parse(&input, base.as_deref()) {
        Ok(u) => ret.set(publish(scope, &env(scope), &u)),
        Err(_) if args.get(2).is_true() => throw_invalid(scope, &input, base.as_deref()),
        Err(_) => {}
    }
}

fn can_parse<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(input) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "the URL must be a string");
    };
    let base = js::rust_string(scope, args.get(1));
    ret.set_bool(Url::can_parse(&input, base.as_deref()));
}

/// Percent-encodes what a path may hold and a URL's path may not, besides what the parser encodes itself.
fn escape_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '%' => out.push_str("%25"),
            '\\' => out.push_str("%5C"),
            '\n' => out.push_str("%0A"),
            '\r' => out.push_str("%0D"),
            '\t' => out.push_str("%09"),
            '?' => out.push_str("%3F"),
            '#' => out.push_str("%23"),
            c => out.push(c),
        }
    }
    out
}

/// `pathToFileURL(path, windows, hostname)`.
fn path_to_file_url<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(path) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "the path must be a string");
    };
    if args.get(1).is_true() {
        return js::throw_with_code(scope, js::Kind::Error, "ENOSYS", "file URLs of Windows paths are not built yet");
    }
    match Url::parse(&format!("file://{}", escape_path(&path)), None) {
        Ok(u) => ret.set(publish(scope, &env(scope), &u)),
        Err(_) => throw_invalid(scope, &path, None),
    }
}

/// `update(href, part, value)`: the new text, or false when the value does not fit.
fn update<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let (Some(href), Some(part), Some(value)) =
        (js::rust_string(scope, args.get(0)), args.get(1).uint32_value(scope), js::rust_string(scope, args.get(2)))
    else {
        return js::throw_argument(scope, "expected (string, number, string)");
    };
    let Ok(mut url) = Url::parse(&href, None) else { return ret.set_bool(false) };
    let some = Some(value.as_str());
    let fits = match part {
        0 => url.set_protocol(&value).is_ok(),
        1 => url.set_host(some).is_ok(),
        2 => url.set_hostname(some).is_ok(),
        3 => url.set_port(some).is_ok(),
        4 => url.set_username(some).is_ok(),
        5 => url.set_password(some).is_ok(),
        6 => url.set_pathname(some).is_ok(),
        7 => {
            url.set_search(some);
            true
        }
        8 => {
            url.set_hash(some);
            true
        }
        9 => url.set_href(&value).is_ok(),
        _ => return js::throw_argument(scope, "no such part of a URL"),
    };
    // A part that does not fit leaves the URL as it was; only a bad href is refused.
    if !fits && part == 9 {
        return ret.set_bool(false);
    }
    ret.set(publish(scope, &env(scope), &url));
}

/// `format(href, fragment, unicode, search, auth)`.
fn format<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(href) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "the URL must be a string");
    };
    let Ok(mut url) = Url::parse(&href, None) else { return ret.set(args.get(0)) };
    if !args.get(1).is_true() {
        url.set_hash(None);
    }
    if !args.get(3).is_true() {
        url.set_search(None);
    }
    if !args.get(4).is_true() {
        let _ = url.set_username(None);
        let _ = url.set_password(None);
    }
    let mut text = url.href().to_owned();
    if args.get(2).is_true() && !url.hostname().is_empty() {
        text = text.replacen(url.hostname(), &ada_url::Idna::unicode(url.hostname()), 1);
    }
    ret.set(js::string(scope, &text).into());
}

fn get_origin<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    let Some(href) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "the URL must be a string");
    };
    match Url::parse(&href, None) {
        Ok(u) => ret.set(js::string(scope, &u.origin()).into()),
        Err(_) => throw_invalid(scope, &href, None),
    }
}

fn domain<'s>(scope: &mut Scope<'s, '_>, args: &Args<'s>, ret: &mut Ret<'s>, unicode: bool) {
    let Some(text) = js::rust_string(scope, args.get(0)) else {
        return js::throw_argument(scope, "the domain must be a string");
    };
    if text.is_empty() {
        return ret.set_empty_string();
    }
    let host = Url::parse(&format!("ws://{text}"), None).map(|u| u.hostname().to_owned()).unwrap_or_default();
    let host = if unicode { ada_url::Idna::unicode(&host) } else { host };
    ret.set(js::string(scope, &host).into());
}

fn domain_to_ascii<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    domain(scope, &args, &mut ret, false);
}

fn domain_to_unicode<'s>(scope: &mut Scope<'s, '_>, args: Args<'s>, mut ret: Ret<'s>) {
    domain(scope, &args, &mut ret, true);
}

pub(super) fn register(r: &mut Registry) {
    r.add("url.parse", parse);
    r.add("url.canParse", can_parse);
    r.add("url.pathToFileURL", path_to_file_url);
    r.add("url.update", update);
    r.add("url.format", format);
    r.add("url.getOrigin", get_origin);
    r.add("url.domainToASCII", domain_to_ascii);
    r.add("url.domainToUnicode", domain_to_unicode);
}
