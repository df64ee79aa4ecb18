//! Anonymous pipes of Eyot's kernel.

use crate::io;
use crate::sys::FromInner;
use crate::sys::fd::FileDesc;
use crate::sys::pal::eyot;

pub type Pipe = FileDesc;

pub fn pipe() -> io::Result<(Pipe, Pipe)> {
    let (reader, writer) = eyot::pipe()?;
    Ok((Pipe::from_inner(reader), Pipe::from_inner(writer)))
}
