//! What an overlay costs, beside the layer that it stands on: `cargo nextest run --release -p eyot-overlay --run-ignored all speed --no-capture`.

mod common;

use std::sync::Arc;
use std::time::Instant;

use common::*;
use eyot_backend::*;
use eyot_memfs::Memfs;
use eyot_overlay::Overlay;

fn time(what: &str, count: u32, mut act: impl FnMut(u32)) {
    let start = Instant::now();
    (0..count).for_each(&mut act);
    println!("{what}: {:?}", start.elapsed() / count);
}

fn layer(prefix: &str) -> Arc<Memfs> {
    let fs = Arc::new(Memfs::new());
    let dir = fs.mkdir(1, "d", DIR).unwrap().node;
    for index in 0..1000 {
        let made = fs.create(dir, &format!("{prefix}{index}"), FILE).unwrap().node;
        write(&*fs, made, 0, &[1; 70_000]).unwrap();
        fs.forget(made, 1);
    }
    fs
}

fn measure(name: &str, fs: &dyn Filesystem) {
    let d = fs.lookup(fs.info().root, "d").unwrap().node;
    let find = |name: &str| fs.lookup(d, name).map(|found| fs.forget(found.node, 1));
    time(&format!("{name}: lookup and forget"), 200_000, |index| find(&format!("a{}", index % 1000)).unwrap());
    time(&format!("{name}: lookup of what is not there"), 200_000, |_| assert!(find("none").is_err()));
    let file = fs.lookup(d, "a7").unwrap().node;
    time(&format!("{name}: lookup of what is held"), 200_000, |_| find("a7").unwrap());
    time(&format!("{name}: getattr"), 200_000, |_| assert_eq!(fs.getattr(file).unwrap().size, 70_000));
    let handle = fs.open(file, OpenFlags::READ).unwrap();
    let mut buffer = vec![0; 65_536];
    time(&format!("{name}: read of 64 KiB"), 50_000, |_| assert_eq!(fs.read(file, handle, 0, &mut buffer), Ok(65_536)));
    time(&format!("{name}: read of 16 bytes"), 200_000, |_| {
        assert_eq!(fs.read(file, handle, 0, &mut buffer[..16]), Ok(16))
    });
    time(&format!("{name}: listing, by the entry"), 50, |_| assert!(list(fs, d, 256).len() >= 1000));
    time(&format!("{name}: create, unlink, forget"), 50_000, |_| {
        let made = fs.create(d, "new", FILE).unwrap().node;
        fs.unlink(d, "new").unwrap();
        fs.forget(made, 1);
    });
    time(&format!("{name}: copy up of 70 KB, or chmod"), 1000, |index| {
        let mode = AttributeChanges { mode: Some(0o600), ..Default::default() };
        let found = fs.lookup(d, &format!("a{index}")).unwrap().node;
        fs.setattr(found, &mode).unwrap();
        fs.forget(found, 1);
    });
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    measure("memfs", &*layer("a"));
    let empty = || Arc::new(Memfs::new());
    measure("one lower", &Overlay::new(empty(), vec![layer("a")]).unwrap());
    measure("two lowers", &Overlay::new(empty(), vec![layer("b"), layer("a")]).unwrap());
    measure("in the upper", &Overlay::new(layer("a"), vec![empty()]).unwrap());
}
