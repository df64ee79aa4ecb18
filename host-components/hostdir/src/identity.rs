//! Which inode is which.

/// An inode, and what tells it from others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

impl Identity {
    /// The number that the guest sees: the host's inode number on the root's device; beyond a mount point below it, a mix with the highest bit set.
    pub(crate) fn number(self, root_device: u64) -> u64 {
        const HIGHEST: u64 = 1 << 63;
        if self.device == root_device && self.inode != 0 && self.inode < HIGHEST {
            return self.inode;
        }
        // Two rounds of a 64-bit finaliser: inode numbers differ in their low bits, device numbers too.
        let mut mix = self.inode ^ self.device.rotate_left(32);
        for _ in 0..2 {
            mix = (mix ^ mix >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
        }
        mix | HIGHEST
    }

    pub(crate) fn device(self) -> u64 {
        self.device
    }
}
