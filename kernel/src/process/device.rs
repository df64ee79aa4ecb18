//! Character devices: what `/dev/null` and its kin do (null(4), full(4), random(4), tty(4)).

use crate::Errno;

const fn number(major: u64, minor: u64) -> u64 {
    // makedev(3), for numbers below 256.
    (major << 8) | minor
}

/// `/dev/null`.
pub const NULL: u64 = number(1, 3);
/// `/dev/zero`.
pub const ZERO: u64 = number(1, 5);
/// `/dev/full`.
pub const FULL: u64 = number(1, 7);
/// `/dev/random`.
pub const RANDOM: u64 = number(1, 8);
/// `/dev/urandom`.
pub const URANDOM: u64 = number(1, 9);
/// `/dev/tty`.
pub const TTY: u64 = number(5, 0);

/// An open device that keeps no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// Reads end, writes vanish.
    Null,
    /// Reads give zeroes, writes vanish.
    Zero,
    /// Reads give zeroes, writes fail with `ENOSPC`.
    Full,
    /// Reads give random bytes, writes vanish.
    Random,
}

impl Device {
    /// The device with this number. `/dev/tty` is none: it stands for the process's terminal. Errors: `ENXIO`.
    pub fn from_number(number: u64) -> Result<Self, Errno> {
        match number {
            NULL => Ok(Device::Null),
            ZERO => Ok(Device::Zero),
            FULL => Ok(Device::Full),
            RANDOM | URANDOM => Ok(Device::Random),
            _ => Err(Errno::Nxio),
        }
    }

    /// read(2).
    pub fn read(self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self {
            Device::Null => Ok(0),
            Device::Zero | Device::Full => {
                buffer.fill(0);
                Ok(buffer.len())
            }
            Device::Random => {
                getrandom::fill(buffer).map_err(|_| Errno::Io)?;
                Ok(buffer.len())
            }
        }
    }

    /// write(2).
    pub fn write(self, bytes: &[u8]) -> Result<usize, Errno> {
        match self {
            Device::Full => Err(Errno::Nospc),
            _ => Ok(bytes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_do_what_their_pages_say() {
        let mut buffer = [7; 32];
        assert_eq!(Device::Null.read(&mut buffer), Ok(0));
        assert_eq!(Device::Zero.read(&mut buffer), Ok(32));
        assert_eq!(buffer, [0; 32]);
        assert_eq!(Device::Random.read(&mut buffer), Ok(32));
        assert_ne!(buffer, [0; 32]);
        assert_eq!(Device::Null.write(&buffer), Ok(32));
        assert_eq!(Device::Full.write(&buffer), Err(Errno::Nospc));
        assert_eq!(Device::from_number(number(200, 1)), Err(Errno::Nxio));
    }
}
