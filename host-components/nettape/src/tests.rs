use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use eyot_backend::{AddressFamily, Errno, Shutdown, SocketKind, SocketReadiness, Sockets};
use eyot_hostnet::HostNet;

use super::*;

/// Calls until there is an answer. (That news comes is the networks' own tests' affair.)
fn wait<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    for _ in 0..2000 {
        match call() {
            Err(Errno::Again) => std::thread::sleep(Duration::from_millis(5)),
            answer => return answer,
        }
    }
    panic!("no answer");
}

/// Asks and hears twice, and ends.
fn talk(net: &dyn Sockets, to: SocketAddr, first: &[u8]) -> Result<Vec<u8>, Errno> {
    let socket = net.open(SocketKind::Stream, AddressFamily::Ipv4)?;
    match net.connect(socket, to) {
        Ok(()) | Err(Errno::Inprogress) => {}
        Err(errno) => return Err(errno),
    }
    wait(|| if net.readiness(socket).contains(SocketReadiness::WRITABLE) { Ok(()) } else { Err(Errno::Again) })?;
    if let Some(errno) = net.take_error(socket) {
        return Err(errno);
    }
    let mut all = Vec::new();
    let mut buffer = [0; 7];
    for question in [first, b"two"] {
        wait(|| net.send(socket, question))?;
        let count = wait(|| net.recv(socket, &mut buffer))?;
        all.extend_from_slice(&buffer[..count]);
    }
    net.shutdown(socket, Shutdown::Send)?;
    loop {
        match wait(|| net.recv(socket, &mut buffer))? {
            0 => break,
            count => all.extend_from_slice(&buffer[..count]),
        }
    }
    net.close(socket);
    Ok(all)
}

fn record(path: &Path) -> (SocketAddr, SocketAddr) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut question = [0; 3];
        for answer in ["ONE", "TWO"] {
            stream.read_exact(&mut question).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
        stream.read_to_end(&mut Vec::new()).unwrap();
        stream.write_all(b"a longer farewell").unwrap();
    });
    let recorder = Recorder::new(Arc::new(HostNet::new().unwrap()), path).unwrap();
    assert_eq!(talk(&recorder, address, b"one").unwrap(), b"ONETWOa longer farewell");
    assert_eq!(talk(&recorder, closed, b"one"), Err(Errno::Connrefused));
    let lookup = recorder.lookup("localhost").unwrap();
    wait(|| recorder.answer(lookup)).unwrap();
    recorder.close(lookup);
    recorder.finish().unwrap();
    thread.join().unwrap();
    (address, closed)
}

#[test]
fn what_was_recorded_is_played_without_a_network() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tape");
    let (address, closed) = record(&path);
    let player = Player::open(&path).unwrap();
    assert_eq!(talk(&player, address, b"one").unwrap(), b"ONETWOa longer farewell");
    assert_eq!(talk(&player, closed, b"one"), Err(Errno::Connrefused));
    let lookup = player.lookup("localhost").unwrap();
    assert!(player.answer(lookup).unwrap().iter().all(|address| address.is_loopback()));
    assert_eq!(player.divergences(), [""; 0]);
}

#[test]
fn what_differs_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tape");
    let (address, _) = record(&path);
    let player = Player::open(&path).unwrap();
    assert_eq!(talk(&player, address, b"onX"), Err(Errno::Proto));
    assert_eq!(talk(&player, address, b"one"), Err(Errno::Connrefused), "it is on the tape once");
    let none = player.lookup("example.com").unwrap();
    assert_eq!(player.answer(none), Err(Errno::Noent));
    let told = player.divergences();
    assert!(told[0].contains("from byte 2 on") && told[1].contains("not so often") && told[2].contains("example.com"));
}

#[test]
fn damaged_tapes_are_refused_or_read_as_far_as_they_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tape");
    record(&path);
    let whole = std::fs::read(&path).unwrap();
    for end in 0..whole.len() {
        std::fs::write(&path, &whole[..end]).unwrap();
        assert_eq!(Player::open(&path).is_ok(), end >= 8, "cut at {end}");
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x80;
        std::fs::write(&path, &damaged).unwrap();
        // It may be read or not; it never panics and never takes memory without bound.
        let _ = Player::open(&path);
    }
}
