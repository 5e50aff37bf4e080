//! Chance out of a seed.

/// Everything random in a case comes from here.
#[derive(Debug)]
pub struct Dice(fastrand::Rng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// Dice of their own, so that one part of a case does not shift the others.
    pub fn fork(&mut self) -> Self {
        Self(self.0.fork())
    }

    pub fn chance(&mut self, share: f64) -> bool {
        self.0.f64() < share
    }

    /// From 0 to 1.
    pub fn share(&mut self) -> f64 {
        self.0.f64()
    }

    /// Both ends included.
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        self.0.usize(least..=most)
    }

    pub fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.0.usize(..all.len())].clone()
    }

    /// From nothing to `most`, the small ones as likely as the large.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "milliseconds"
    )]
    pub fn millis(&mut self, most: u64) -> std::time::Duration {
        let exponent = self.0.f64() * (most as f64 + 1.0).ln();
        std::time::Duration::from_millis(exponent.exp() as u64 - 1)
    }
}
