//! One numbering for the nodes of all layers: a number says by itself whose it is.

use eyot_backend::{Errno, Node};

/// Node `n` of layer `i` of `layers` is `n * layers + i`: with one layer, the layer's own number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbering {
    layers: u64,
}

impl Numbering {
    pub(super) fn of(layers: usize) -> Self {
        Self { layers: (layers as u64).max(1) }
    }

    /// The number that the component sees. Errors: `EOVERFLOW`.
    pub(super) fn shown(self, layer: usize, node: Node) -> Result<Node, Errno> {
        node.checked_mul(self.layers).and_then(|number| number.checked_add(layer as u64)).ok_or(Errno::Overflow)
    }

    /// The layer, and its own number.
    pub(super) fn theirs(self, shown: Node) -> (usize, Node) {
        ((shown % self.layers) as usize, shown / self.layers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_layer_keeps_its_numbers() {
        for node in [1, 7, u64::MAX] {
            assert_eq!(Numbering::of(1).shown(0, node), Ok(node));
            assert_eq!(Numbering::of(1).theirs(node), (0, node));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert_eq!(Numbering::of(2).shown(0, 1 << 63), Err(Errno::Overflow));
        assert_eq!(Numbering::of(2).shown(1, (1 << 63) - 1), Ok(u64::MAX));
        assert_eq!(Numbering::of(3).shown(1, u64::MAX / 3), Err(Errno::Overflow));
    }

    #[test]
    fn numbers_are_told_apart_and_lead_back() {
        for layers in 1..=128 {
            for layer in 0..layers {
                for node in [1, 2, 999, (1 << 56) + 7, u64::MAX / 128 - 1, u64::MAX] {
                    match Numbering::of(layers).shown(layer, node) {
                        Ok(shown) => assert_eq!(Numbering::of(layers).theirs(shown), (layer, node)),
                        Err(errno) => assert!(errno == Errno::Overflow && node > u64::MAX / 128 - 1),
                    }
                }
            }
        }
    }
}
