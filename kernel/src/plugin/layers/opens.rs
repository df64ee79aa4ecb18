//! A component's open files in its layers.

use eyot_backend::{Errno, Handle, Node};

/// The most open files of one component: as many as a VM's.
const OPENS_MAX: usize = 65_536;

/// An open file of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) layer: usize,
    /// The layer's own number of the file, and its own handle.
    pub(super) node: Node,
    pub(super) handle: Handle,
}

/// The open files, by the handle that the component was given: an index and one more, so that 0 is none.
#[derive(Default)]
pub(super) struct Opens {
    slots: Vec<Option<Open>>,
    free: Vec<u32>,
}

impl Opens {
    /// Whether there is room for one more. Errors: `ENOMEM`.
    pub(super) fn check_room(&self) -> Result<(), Errno> {
        if self.free.is_empty() && self.slots.len() >= OPENS_MAX { Err(Errno::Nomem) } else { Ok(()) }
    }

    /// Keeps an open file; answers its handle.
    pub(super) fn add(&mut self, open: Open) -> Handle {
        if let Some(index) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(index as usize)
        {
            *slot = Some(open);
            return u64::from(index) + 1;
        }
        self.slots.push(Some(open));
        self.slots.len() as u64
    }

    fn index(handle: Handle) -> Option<usize> {
        usize::try_from(handle.checked_sub(1)?).ok()
    }

    /// The open file of a handle that was given out for this node. Errors: `ESTALE`.
    pub(super) fn get(&self, layer: usize, node: Node, handle: Handle) -> Result<Open, Errno> {
        let open = Self::index(handle).and_then(|index| *self.slots.get(index)?);
        open.filter(|open| (open.layer, open.node) == (layer, node)).ok_or(Errno::Stale)
    }

    /// Takes an open file out.
    pub(super) fn take(&mut self, layer: usize, node: Node, handle: Handle) -> Option<Open> {
        let open = self.get(layer, node, handle).ok()?;
        let index = Self::index(handle)?;
        *self.slots.get_mut(index)? = None;
        self.free.push(u32::try_from(index).ok()?);
        Some(open)
    }

    pub(super) fn into_all(self) -> impl Iterator<Item = Open> {
        self.slots.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_good_for_its_own_file_until_it_is_released() {
        let mut opens = Opens::default();
        let open = Open { layer: 1, node: 7, handle: 99 };
        let handle = opens.add(open);
        assert_eq!(opens.get(1, 7, handle), Ok(open));
        for (layer, node, handle) in [(0, 7, handle), (1, 8, handle), (1, 7, 0), (1, 7, 2), (1, 7, u64::MAX)] {
            assert_eq!(opens.get(layer, node, handle), Err(Errno::Stale));
            assert_eq!(opens.take(layer, node, handle), None);
        }
        assert_eq!(opens.take(1, 7, handle), Some(open));
        assert_eq!(opens.take(1, 7, handle), None, "only once");
        assert_eq!(opens.add(open), handle, "numbers come again");
        assert_eq!(opens.into_all().count(), 1);
    }

    #[test]
    fn there_is_an_end() {
        let mut opens = Opens::default();
        let open = Open { layer: 0, node: 1, handle: 0 };
        for _ in 0..OPENS_MAX {
            opens.check_room().unwrap();
            opens.add(open);
        }
        assert_eq!(opens.check_room(), Err(Errno::Nomem));
        opens.take(0, 1, 5).unwrap();
        assert_eq!(opens.check_room(), Ok(()));
        assert_eq!(opens.add(open), 5);
    }
}
