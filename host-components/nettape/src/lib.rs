//! A network of Eyot on tape: [`Recorder`] passes everything on to another network and writes down what went over its connections; [`Player`] answers from what was
//! written, without any network. So a test that talked to a server once runs without it from then on.
//!
//! What is kept: streams that connect (by address or name), datagrams of connected partners, and lookups. Listening is passed on while recording and is not on the tape.
//!
//! The player is strict: a guest that sends something else than was recorded gets `EPROTO`, and [`Player::divergences`] says where. When bytes come is not kept, only after which
//! bytes of the guest's they came.

mod player;
mod recorder;
mod tape;

pub use player::Player;
pub use recorder::Recorder;
pub use tape::TapeError;

#[cfg(test)]
mod tests;
