//! `eyot backend inspect`: what a component is, and what a mount of it would need.

use eyot_kernel::backend::{FilesystemInfo, SettingDescription, SettingKind};
use eyot_kernel::plugin::{Grant, Inspection, Interface, PUBLISHED};
use serde_json::{Value, json};

use super::options::InspectOptions;
use super::subject::Subject;
use super::table::columns;
use crate::failure::Failure;
use crate::home::Home;

/// Prints what the file is; answers 0 only when it could be mounted.
pub fn run(home: &Home, options: &InspectOptions) -> Result<u8, Failure> {
    let subject = Subject::read(home, &options.file)?;
    let inspection = subject.inspect()?;
    let obstacle = obstacle(&inspection);
    if options.json {
        super::print_json(&as_json(&subject, &inspection, obstacle.as_deref()))?;
    } else {
        crate::print(&as_text(&subject, &inspection))?;
        if let Some(obstacle) = &obstacle {
            return Err(Failure::setup(format!("{} {obstacle}", subject.name)));
        }
    }
    Ok(u8::from(obstacle.is_some()))
}

/// Why it cannot be mounted, and what to do.
fn obstacle(inspection: &Inspection) -> Option<String> {
    let published = PUBLISHED.join(", ");
    if inspection.version.is_none() {
        return Some(format!(
            "is a component, but no backend: it exports nothing of eyot:backend; build it for the world filesystem-backend \
             or mount-backend of eyot:backend {published}"
        ));
    }
    if !inspection.is_known_version() {
        let version = inspection.version.as_deref().unwrap_or_default();
        return Some(format!(
            "is built for eyot:backend {version}, and this eyot loads {published}; build it for that, or use a newer eyot"
        ));
    }
    if inspection.worlds.is_empty() {
        return Some("is no filesystem: it does not export eyot:backend/filesystem; add that export".into());
    }
    let unknown = inspection.imports.iter().filter(|import| import.grant == Grant::Unknown);
    let missing: Vec<_> = unknown.map(|import| &*import.interface.name).collect();
    if !missing.is_empty() {
        return Some(format!(
            "cannot be mounted: it imports {}, and nothing here serves that; build it without",
            missing.join(", ")
        ));
    }
    let failed = inspection.settings.as_ref().and_then(|settings| settings.as_ref().err());
    let failed = failed.or(inspection.info.as_ref().and_then(|info| info.as_ref().err()));
    failed.map(|error| format!("cannot be started: {error}"))
}

fn as_text(subject: &Subject, inspection: &Inspection) -> String {
    let version = inspection.version.as_deref().unwrap_or("no eyot:backend");
    let world = inspection.worlds.first().map_or("no world of it", |world| world.name());
    let mut text = format!("{}: {}, ", subject.name, size(subject.bytes));
    text += &match inspection.version {
        Some(_) => format!("eyot:backend {version}, {world}\n"),
        None => format!("{version}\n"),
    };
    if let Some(Ok(info)) = &inspection.info {
        text += &format!("\nkind          {}\ncapabilities  {}\n", info.kind, capabilities(info).join(", "));
        text += &format!(
            "believed      names {}, absent names {}\n",
            lifetime(info.entry_lifetime_ns),
            lifetime(info.absence_lifetime_ns)
        );
    }
    let exports: Vec<_> = inspection.exports.iter().map(|one| vec![one.name.clone(), counted(one)]).collect();
    text += &format!("\nexports\n{}", or_none(columns("  ", &exports)));
    let grant =
        |grant: Grant| grant.how().map_or_else(|| grant.name().into(), |how| format!("{}: {how}", grant.name()));
    let imports = inspection
        .imports
        .iter()
        .map(|import| vec![import.interface.name.clone(), grant(import.grant), counted(&import.interface)]);
    text += &format!("\nimports\n{}", or_none(columns("  ", &imports.collect::<Vec<_>>())));
    text + &settings_text(inspection)
}

fn settings_text(inspection: &Inspection) -> String {
    match &inspection.settings {
        None => "\nsettings\n  none\n".into(),
        Some(Err(error)) => format!("\nsettings\n  not known: {error}\n"),
        Some(Ok(settings)) if settings.is_empty() => "\nsettings\n  none\n".into(),
        Some(Ok(settings)) => {
            let head = ["key", "kind", "required", "default", "what"].map(str::to_owned).to_vec();
            let rows = settings.iter().map(|one| {
                let default = one.default_value.clone().unwrap_or_else(|| "-".into());
                let required = if one.required { "yes" } else { "no" };
                vec![one.key.clone(), kind(one.kind).into(), required.into(), default, one.help.clone()]
            });
            let rows: Vec<_> = std::iter::once(head).chain(rows).collect();
            format!("\nsettings\n{}", columns("  ", &rows))
        }
    }
}

fn or_none(text: String) -> String {
    if text.is_empty() { "  none\n".into() } else { text }
}

fn counted(interface: &Interface) -> String {
    match interface.functions.len() {
        0 => String::new(),
        1..=6 => interface.functions.join(", "),
        count => format!("{count} functions"),
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} KiB", bytes / 1024),
        _ => format!("{} MiB", bytes / 1_048_576),
    }
}

fn lifetime(ns: u64) -> String {
    match ns {
        0 => "never".into(),
        u64::MAX => "for ever".into(),
        _ => format!("for {:?}", std::time::Duration::from_nanos(ns)),
    }
}

const fn kind(kind: SettingKind) -> &'static str {
    match kind {
        SettingKind::Text => "text",
        SettingKind::Number => "number",
        SettingKind::Boolean => "boolean",
        SettingKind::Size => "size",
        SettingKind::Duration => "duration",
        SettingKind::Secret => "secret",
    }
}

fn capabilities(info: &FilesystemInfo) -> Vec<String> {
    info.capabilities.iter_names().map(|(name, _)| name.to_lowercase().replace('_', "-")).collect()
}

fn as_json(subject: &Subject, inspection: &Inspection, obstacle: Option<&str>) -> Value {
    let worlds: Vec<_> = inspection.worlds.iter().map(|world| world.name()).collect();
    let interface = |one: &Interface| json!({ "name": one.name, "functions": one.functions });
    let import = |one: &eyot_kernel::plugin::Import| json!({ "name": one.interface.name, "functions": one.interface.functions, "grant": one.grant.name(), "how": one.grant.how() });
    let setting = |one: &SettingDescription<String>| {
        json!({
            "key": one.key,
            "kind": kind(one.kind),
            "required": one.required,
            "default": one.default_value,
            "help": one.help,
        })
    };
    let settings = match &inspection.settings {
        None => json!([]),
        Some(Ok(settings)) => settings.iter().map(setting).collect(),
        Some(Err(_)) => Value::Null,
    };
    let info = inspection.info.as_ref().and_then(|info| info.as_ref().ok()).map(|info| {
        json!({
            "kind": info.kind,
            "capabilities": capabilities(info),
            "entry_lifetime_ns": info.entry_lifetime_ns,
            "absence_lifetime_ns": info.absence_lifetime_ns,
        })
    });
    json!({
        "file": subject.name,
        "bytes": subject.bytes,
        "version": inspection.version,
        "versions_loaded": PUBLISHED,
        "worlds": worlds,
        "exports": inspection.exports.iter().map(interface).collect::<Vec<_>>(),
        "imports": inspection.imports.iter().map(import).collect::<Vec<_>>(),
        "settings": settings,
        "info": info,
        "mountable": obstacle.is_none(),
        "obstacle": obstacle,
    })
}
