//! Opening a database, and making one.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64};

use eyot_backend::NodeKind;
use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use crate::cache::ChunkCache;
use crate::core::{Core, ROOT};
use crate::error::{Error, Fault, Res};
use crate::flusher::Flusher;
use crate::log::Log;
use crate::nodes::Nodes;
use crate::options::SqlfsBuilder;
use crate::quota::Quota;
use crate::readers::Readers;
use crate::record::{Body, Record};
use crate::schema::{self, Recognised};
use crate::writer::Writer;

/// The longest value and row that SQLite may make: a damaged database must not ask for memory without end.
const VALUE_BYTES_MAX: i32 = 4 << 20;
/// How many statements a connection keeps prepared.
const STATEMENTS_KEPT: usize = 64;

/// What a database says of itself when it is opened.
struct Counters {
    chunk_bytes: i64,
    bytes: i64,
    inodes: i64,
}

pub(crate) fn open(path: &Path, options: SqlfsBuilder) -> Result<Core, Error> {
    let path = whole_path(path)?;
    let lock = lock(&path)?;
    must_be_sqlite(&path)?;
    let sqlite = |doing: &'static str| {
        let path = path.clone();
        move |fault: Fault| fault.told(doing, &path)
    };
    let conn = connect(&path).map_err(sqlite("open the database"))?;
    match schema::recognise(&conn).map_err(Fault::from).map_err(sqlite("recognise the database"))? {
        Recognised::Ours => {}
        Recognised::Newer(found) => return Err(Error::Newer { path, found, known: schema::FORMAT }),
        Recognised::Foreign(found) => return Err(Error::Foreign { path, found }),
        Recognised::Empty => make(&conn, &options).map_err(sqlite("make the tables"))?,
    }
    let prepared = prepare_writer(conn, &options).and_then(|w| Ok((counters(&w)?, w)));
    let (counters, w) = prepared.map_err(sqlite("read the state"))?;
    let others = others(&path, &w.conn, &options).map_err(sqlite("open a connection"))?;
    let log = open_log(&path)?;
    let chunk_bytes = match counters.chunk_bytes {
        bytes @ (0x1_0000 | 0x2_0000) => bytes as usize,
        other => return Err(Error::Damaged { path, what: format!("chunks cannot be {other} bytes long") }),
    };
    let number = |value: i64| u64::try_from(value).unwrap_or_default();
    let core = Core {
        chunk_bytes,
        ino_end: AtomicI64::new(w.ino_next),
        checkpointer: Mutex::new(others.checkpointer),
        readers: Readers::new(others.readers),
        nodes: Nodes::new(options.inodes_cached_max),
        cache: ChunkCache::new(options.cache_bytes_max),
        quota: Quota::new(options.bytes_max, options.inodes_max, number(counters.bytes), number(counters.inodes)),
        dirty: Mutex::new(Vec::new()),
        committed: AtomicU64::new(0),
        writer: Mutex::new(w),
        log,
        flusher: Flusher::new(),
        failure: OnceLock::new(),
        _lock: lock,
        options,
        path,
    };
    begin(&core)?;
    Ok(core)
}

/// The first batch of a session: lets go what nobody holds any more, and sets numbers aside.
fn begin(core: &Core) -> Result<(), Error> {
    let told = |fault: Fault| fault.told("begin a session", &core.path);
    let mut w = core.writer.lock();
    core.change_under(&mut w, |w| core.delete_orphans(w)).map_err(told)?;
    core.change_under(&mut w, |w| w.set_meta("session", w.meta("session")?.unwrap_or_default().wrapping_add(1)))
        .map_err(told)?;
    core.commit_under(&mut w).map_err(told)?;
    drop(w);
    match core.inode(ROOT).map(|root| root.read().is_ok_and(|root| root.is_directory())) {
        Ok(true) => {}
        _ => return Err(Error::Damaged { path: core.path.clone(), what: "there is no root directory".into() }),
    }
    sync_names(core)
}

/// SQLite made the log's name, but did not sync the directory for those who sync the log themselves.
#[cfg(not(target_family = "wasm"))]
fn sync_names(core: &Core) -> Result<(), Error> {
    let sync = |path: &Path| File::open(path).and_then(|file| file.sync_all());
    let parent = core.path.parent().unwrap_or(Path::new("/"));
    sync(core.log.path()).and_then(|()| sync(parent)).map_err(|source| Error::Host {
        doing: "sync",
        path: parent.to_owned(),
        source,
    })
}

/// What a granted directory is on decides what is kept of its names; there is no way to sync one.
#[cfg(target_family = "wasm")]
fn sync_names(_core: &Core) -> Result<(), Error> {
    Ok(())
}

/// In a VM of its own a component has no links to follow.
#[cfg(target_family = "wasm")]
fn whole_path(path: &Path) -> Result<PathBuf, Error> {
    Ok(path.to_owned())
}

#[cfg(not(target_family = "wasm"))]
fn whole_path(path: &Path) -> Result<PathBuf, Error> {
    let host = |source| Error::Host { doing: "find", path: path.to_owned(), source };
    if let Ok(whole) = path.canonicalize() {
        return Ok(whole);
    }
    let name = path.file_name().ok_or_else(|| host(std::io::ErrorKind::InvalidInput.into()))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(parent.canonicalize().map_err(host)?.join(name))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A component is alone in its VM; that nobody else has the database is the embedder's to see to. The file is there all the same.
#[cfg(target_family = "wasm")]
fn lock(path: &Path) -> Result<File, Error> {
    let name = beside(path, "-lock");
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&name);
    opened.map_err(|source| Error::Host { doing: "lock", path: name, source })
}

/// Takes the lock. It is on a file beside the database: closing any descriptor of the database itself would lose the locks that SQLite
/// has on it.
#[cfg(not(target_family = "wasm"))]
fn lock(path: &Path) -> Result<File, Error> {
    let name = beside(path, "-lock");
    let host = |source| Error::Host { doing: "lock", path: name.clone(), source };
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&name).map_err(host)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::InUse { path: path.to_owned() }),
        Err(std::fs::TryLockError::Error(source)) => Err(host(source)),
    }
}

/// Refuses a file that is no database before SQLite is asked, whose answer would be less clear.
fn must_be_sqlite(path: &Path) -> Result<(), Error> {
    use std::io::Read;
    let host = |source| Error::Host { doing: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(host(error)),
    };
    let mut head = Vec::new();
    file.take(16).read_to_end(&mut head).map_err(host)?;
    if head.is_empty() || head == b"SQLite format 3\0" {
        return Ok(());
    }
    Err(Error::Foreign { path: path.to_owned(), found: "it is no SQLite database".into() })
}

fn connect(path: &Path) -> Res<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = open_connection(path, flags)?;
    dress(&conn)?;
    conn.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    Ok(conn)
}

/// What is settled before the first look into the database.
fn dress(conn: &Connection) -> Res<()> {
    conn.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    conn.busy_timeout(std::time::Duration::from_secs(10))?;
    if cfg!(target_family = "wasm") {
        // The index of the log is in memory then: there is none to share.
        conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    }
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -8192)?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(())
}

#[cfg(not(target_family = "wasm"))]
fn open_connection(path: &Path, flags: OpenFlags) -> Res<Connection> {
    Ok(Connection::open_with_flags(path, flags)?)
}

/// WASI has no locks of files, so that nobody asks for one.
#[cfg(target_family = "wasm")]
fn open_connection(path: &Path, flags: OpenFlags) -> Res<Connection> {
    Ok(Connection::open_with_flags_and_vfs(path, flags, "unix-none")?)
}

/// The connections beside the writer's.
struct Others {
    readers: Vec<Connection>,
    checkpointer: Connection,
}

#[cfg(not(target_family = "wasm"))]
fn others(path: &Path, _writer: &Connection, options: &SqlfsBuilder) -> Res<Others> {
    let readers = (0..options.readers).map(|_| read_only(path)).collect::<Res<Vec<_>>>()?;
    Ok(Others { readers, checkpointer: connect(path)? })
}

/// One connection has the database, and these are others of its faces: whoever reads what was committed sees the open batch too, but asks only for what that does not differ in.
#[cfg(target_family = "wasm")]
fn others(_path: &Path, writer: &Connection, _options: &SqlfsBuilder) -> Res<Others> {
    let face = || -> Res<Connection> {
        // SAFETY: the handle is open, and outlives its faces, which do not close it: `Core` drops the writer's connection after them. There is one thread, so that no two
        // calls of SQLite run at once.
        let face = unsafe { Connection::from_handle(writer.handle()) }?;
        face.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(face)
    };
    Ok(Others { readers: vec![face()?], checkpointer: face()? })
}

#[cfg(not(target_family = "wasm"))]
fn read_only(path: &Path) -> Res<Connection> {
    let conn = connect(path)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

fn open_log(path: &Path) -> Result<Log, Error> {
    let name = beside(path, "-wal");
    Log::open(name.clone()).map_err(|source| Error::Host { doing: "open the log", path: name, source })
}

/// Makes the tables and the root directory, all in one transaction.
fn make(conn: &Connection, options: &SqlfsBuilder) -> Res<()> {
    conn.pragma_update(None, "page_size", options.page_bytes)?;
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    wal(conn)?;
    conn.execute_batch("BEGIN IMMEDIATE")?;
    schema::create(conn)?;
    let meta = [("chunk_bytes", i64::from(options.chunk_bytes)), ("epoch", 1), ("ino_next", 2), ("cookie_next", 1)];
    for (key, value) in meta {
        conn.execute("INSERT INTO meta (key, value) VALUES (?1, ?2)", (key, value))?;
    }
    let mut root = Record::new(NodeKind::Directory, Body::None, options.root, (options.clock)());
    root.parent = ROOT;
    let sql = "INSERT INTO inode (ino, born, kind, mode, links, uid, gid, device, size, stored, parent, times) \
               VALUES (?1, 1, 1, ?2, 2, ?3, ?4, 0, 0, 0, ?1, ?5)";
    conn.execute(sql, (ROOT, root.mode, root.uid, root.gid, crate::record::times_blob(&root)))?;
    conn.execute(
        "INSERT INTO meta (key, value) VALUES ('bytes', ?1), ('inodes', 0)",
        [crate::record::row_bytes(0, 0) as i64],
    )?;
    conn.execute_batch("COMMIT")?;
    Ok(())
}

fn wal(conn: &Connection) -> Res<()> {
    let mode: String = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode == "wal" { Ok(()) } else { Err(eyot_backend::Errno::Notsup.into()) }
}

fn prepare_writer(conn: Connection, options: &SqlfsBuilder) -> Res<Writer> {
    wal(&conn)?;
    conn.pragma_update(None, "cache_size", -32768)?;
    let limit = i64::try_from(options.wal_bytes_max / 4).unwrap_or(i64::MAX);
    conn.pragma_update_and_check(None, "journal_size_limit", limit, |_| Ok(()))?;
    let mut w = Writer::new(conn);
    let positive = |value: Option<i64>| value.unwrap_or(1).max(1);
    w.epoch = positive(w.meta("epoch")?);
    w.cookie_next = positive(w.meta("cookie_next")?);
    let highest = "SELECT max(ifnull((SELECT max(ino) FROM inode), 1), ifnull((SELECT max(ino) FROM inode_old), 1))";
    let highest: i64 = w.conn.query_row(highest, (), |row| row.get(0))?;
    w.ino_next = positive(w.meta("ino_next")?).max(highest.saturating_add(1));
    w.pinned_epoch = w.find_pinned_epoch()?;
    Ok(w)
}

fn counters(w: &Writer) -> Res<Counters> {
    Ok(Counters {
        chunk_bytes: w.meta("chunk_bytes")?.unwrap_or_default(),
        bytes: w.meta("bytes")?.unwrap_or_default(),
        inodes: w.meta("inodes")?.unwrap_or_default(),
    })
}

impl Core {
    /// Ends a session: commits, makes it durable, and gives the numbers back that were set aside.
    pub(crate) fn close(&self) {
        let committed = {
            let mut w = self.writer.lock();
            let ended =
                self.write_all(&mut w).and_then(|()| self.change_under(&mut w, |w| w.set_meta("ino_next", w.ino_next)));
            w.inos_aside = 0;
            ended.and_then(|()| self.commit_under(&mut w))
        };
        if committed.is_ok() {
            let _ = self.sync_log();
        }
    }
}
