//! SOCKS5: RFC 1928, and user and password by RFC 1929.

use std::net::SocketAddr;

use eyot_backend::Errno;

use crate::tunnel::{Credentials, Next, Target};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_PASSWORD: u8 = 2;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

enum Stage {
    Greet,
    Method,
    Authenticated,
    Answer,
}

pub(crate) struct Socks5 {
    stage: Stage,
    request: Vec<u8>,
    /// The message of RFC 1929.
    credentials: Option<Vec<u8>>,
}

impl Socks5 {
    /// A dialogue for a target. Errors: `ENAMETOOLONG`, `EINVAL` (credentials that are too long).
    pub(crate) fn new(target: &Target, credentials: Option<&Credentials>) -> Result<Self, Errno> {
        let mut request = vec![VERSION, CONNECT, 0];
        let port = match target {
            Target::Address(SocketAddr::V4(v4)) => {
                request.push(IPV4);
                request.extend(v4.ip().octets());
                v4.port()
            }
            Target::Address(SocketAddr::V6(v6)) => {
                request.push(IPV6);
                request.extend(v6.ip().octets());
                v6.port()
            }
            Target::Host(name, port) => {
                request.push(NAME);
                text(&mut request, name).ok_or(Errno::Nametoolong)?;
                *port
            }
        };
        request.extend(port.to_be_bytes());
        let credentials = match credentials {
            None => None,
            Some(Credentials { user, password }) => {
                let mut message = vec![1];
                text(&mut message, user).ok_or(Errno::Inval)?;
                text(&mut message, password).ok_or(Errno::Inval)?;
                Some(message)
            }
        };
        Ok(Self { stage: Stage::Greet, request, credentials })
    }

    /// Only what is the proxy's is heard: its answers say how long they are.
    pub(crate) fn next(&mut self, heard: &mut Vec<u8>) -> Result<Next, Errno> {
        match self.stage {
            Stage::Greet => {
                self.stage = Stage::Method;
                Ok(Next::Say(match self.credentials {
                    None => vec![VERSION, 1, NO_AUTHENTICATION],
                    Some(_) => vec![VERSION, 2, NO_AUTHENTICATION, USER_PASSWORD],
                }))
            }
            Stage::Method => match *heard.as_slice() {
                [VERSION, method] => {
                    heard.clear();
                    self.method(method)
                }
                [] | [VERSION] => Ok(Next::Hear(2 - heard.len())),
                _ => Err(Errno::Proto),
            },
            Stage::Authenticated => match *heard.as_slice() {
                [_, 0] => {
                    heard.clear();
                    Ok(self.ask())
                }
                [_, _, ..] => Err(Errno::Acces),
                _ => Ok(Next::Hear(2 - heard.len())),
            },
            Stage::Answer => answer(heard),
        }
    }

    fn method(&mut self, method: u8) -> Result<Next, Errno> {
        match (method, &self.credentials) {
            (NO_AUTHENTICATION, _) => Ok(self.ask()),
            (USER_PASSWORD, Some(message)) => {
                self.stage = Stage::Authenticated;
                Ok(Next::Say(message.clone()))
            }
            _ => Err(Errno::Acces),
        }
    }

    fn ask(&mut self) -> Next {
        self.stage = Stage::Answer;
        Next::Say(std::mem::take(&mut self.request))
    }
}

/// A text with its length before it. None: it is empty or too long.
fn text(message: &mut Vec<u8>, text: &str) -> Option<()> {
    let length = u8::try_from(text.len()).ok().filter(|&length| length > 0)?;
    message.push(length);
    message.extend(text.as_bytes());
    Some(())
}

fn answer(heard: &[u8]) -> Result<Next, Errno> {
    let length = match *heard {
        [VERSION, 0, _, IPV4, ..] => 10,
        [VERSION, 0, _, IPV6, ..] => 22,
        [VERSION, 0, _, NAME, name, ..] => 7 + usize::from(name),
        // With a name, the fifth byte is its length.
        [VERSION, 0, _, NAME] => 5,
        [VERSION, 0, _, _, ..] => return Err(Errno::Proto),
        [VERSION, refusal, ..] if refusal != 0 => return Err(refused(refusal)),
        [] | [VERSION] | [VERSION, 0] | [VERSION, 0, _] => 4,
        _ => return Err(Errno::Proto),
    };
    match length.saturating_sub(heard.len()) {
        0 => Ok(Next::Open(length)),
        more => Ok(Next::Hear(more)),
    }
}

fn refused(code: u8) -> Errno {
    match code {
        2 => Errno::Acces,
        3 => Errno::Netunreach,
        5 => Errno::Connrefused,
        6 => Errno::Timedout,
        7 => Errno::Notsup,
        8 => Errno::Afnosupport,
        _ => Errno::Hostunreach,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_heard_to_their_end_and_no_further() {
        let whole: [&[u8]; 3] = [
            &[5, 0, 0, 1, 1, 2, 3, 4, 0, 80],
            &[5, 0, 0, 3, 2, b'a', b'b', 0, 80],
            &[5, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80],
        ];
        for whole in whole {
            let mut heard = Vec::new();
            loop {
                match answer(&heard).unwrap() {
                    Next::Hear(more) => heard.extend_from_slice(&whole[heard.len()..heard.len() + more]),
                    Next::Open(used) => break assert_eq!(used, whole.len()),
                    Next::Say(_) => panic!("nothing is left to say"),
                }
            }
        }
        assert_eq!(answer(&[5, 5]), Err(Errno::Connrefused));
        assert_eq!(answer(&[4, 0]), Err(Errno::Proto));
        assert_eq!(answer(&[5, 0, 0, 9, 0]), Err(Errno::Proto));
    }
}
