//! Charging and giving back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::Limit;
use crate::Errno;

struct Meter {
    used: AtomicU64,
    max: AtomicU64,
    warned: AtomicBool,
}

/// Counts what a VM uses of everything that has a limit.
pub struct Accountant {
    meters: [Meter; Limit::ALL.len()],
}

/// How much of a limit is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The limit.
    pub limit: Limit,
    /// What is charged now.
    pub used: u64,
    /// What may be charged at most.
    pub max: u64,
}

impl Accountant {
    /// An accountant with the given limits; the others have their defaults.
    ///
    /// ```
    /// use eyot_kernel::limits::{Accountant, Limit};
    /// let accountant = Accountant::new(&[(Limit::Processes, 1)]);
    /// let first = accountant.charge(Limit::Processes, 1).unwrap();
    /// assert!(accountant.charge(Limit::Processes, 1).is_err());
    /// drop(first);
    /// assert!(accountant.charge(Limit::Processes, 1).is_ok());
    /// ```
    pub fn new(overrides: &[(Limit, u64)]) -> Arc<Self> {
        let meters = std::array::from_fn(|index| {
            let limit = Limit::ALL[index];
            let max =
                overrides.iter().rev().find(|(name, _)| *name == limit).map_or(limit.default_value(), |(_, max)| *max);
            Meter { used: AtomicU64::new(0), max: AtomicU64::new(max), warned: AtomicBool::new(false) }
        });
        Arc::new(Self { meters })
    }

    fn meter(&self, limit: Limit) -> &Meter {
        // `limit as usize` is below `Limit::ALL.len()` by the construction of the enum.
        &self.meters[limit as usize]
    }

    /// The bound itself, for limits that are compared and not charged.
    pub fn max(&self, limit: Limit) -> u64 {
        self.meter(limit).max.load(Relaxed)
    }

    /// How much is used of every limit.
    pub fn usage(&self) -> Vec<Usage> {
        Limit::ALL
            .iter()
            .map(|&limit| Usage { limit, used: self.meter(limit).used.load(Relaxed), max: self.max(limit) })
            .collect()
    }

    /// Takes `amount` of `limit`, or fails with the limit's errno. The receipt gives it back when dropped.
    pub fn charge(self: &Arc<Self>, limit: Limit, amount: u64) -> Result<Charge, Errno> {
        self.take(limit, amount)?;
        Ok(Charge { accountant: self.clone(), limit, amount })
    }

    fn take(&self, limit: Limit, amount: u64) -> Result<(), Errno> {
        let meter = self.meter(limit);
        let max = meter.max.load(Relaxed);
        let taken =
            meter.used.fetch_update(Relaxed, Relaxed, |used| used.checked_add(amount).filter(|&sum| sum <= max));
        match taken {
            Ok(before) => {
                self.warn_near_the_end(limit, meter, before + amount, max);
                Ok(())
            }
            Err(_) => Err(limit.errno()),
        }
    }

    fn give_back(&self, limit: Limit, amount: u64) {
        let meter = self.meter(limit);
        let before = meter.used.fetch_sub(amount, Relaxed);
        debug_assert!(before >= amount, "{} gave back more than it took", limit.name());
        if meter.warned.load(Relaxed) && before.saturating_sub(amount) < meter.max.load(Relaxed) / 2 {
            meter.warned.store(false, Relaxed);
        }
    }

    fn warn_near_the_end(&self, limit: Limit, meter: &Meter, used: u64, max: u64) {
        if used >= max - max / 5 && max > 1 && !limit.fills_up() && !meter.warned.swap(true, Relaxed) {
            tracing::warn!(limit = limit.name(), used, max, "a VM has used 80 % of a limit");
        }
    }
}

/// The receipt for a charge: what it stands for is given back when it is dropped.
#[must_use]
pub struct Charge {
    accountant: Arc<Accountant>,
    limit: Limit,
    amount: u64,
}

impl Charge {
    /// How much it stands for.
    pub fn amount(&self) -> u64 {
        self.amount
    }

    /// Makes the receipt stand for `amount`, taking more or giving back. On failure it stands for what it stood for before.
    pub fn resize(&mut self, amount: u64) -> Result<(), Errno> {
        if amount > self.amount {
            self.accountant.take(self.limit, amount - self.amount)?;
        } else {
            self.accountant.give_back(self.limit, self.amount - amount);
        }
        self.amount = amount;
        Ok(())
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.accountant.give_back(self.limit, self.amount);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_fails_with_its_errno_and_recovers() {
        for &limit in Limit::ALL {
            let accountant = Accountant::new(&[(limit, 10)]);
            let most = accountant.charge(limit, 10).unwrap();
            assert_eq!(accountant.charge(limit, 1).err(), Some(limit.errno()), "{}", limit.name());
            drop(most);
            assert!(accountant.charge(limit, 10).is_ok());
        }
    }

    #[test]
    fn an_overflowing_charge_is_refused() {
        let accountant = Accountant::new(&[(Limit::MemoryBytes, u64::MAX)]);
        let _one = accountant.charge(Limit::MemoryBytes, 1).unwrap();
        assert_eq!(accountant.charge(Limit::MemoryBytes, u64::MAX).err(), Some(Errno::Nomem));
    }

    #[test]
    fn resizing_takes_and_gives_back() {
        let accountant = Accountant::new(&[(Limit::PipeBytes, 100)]);
        let mut charge = accountant.charge(Limit::PipeBytes, 60).unwrap();
        assert_eq!(charge.resize(101), Err(Errno::Nfile));
        assert_eq!(charge.amount(), 60);
        charge.resize(10).unwrap();
        assert!(accountant.charge(Limit::PipeBytes, 90).is_ok());
    }
}
