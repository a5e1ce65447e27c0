//! What is said over one connection, message by message: where each ends, and which statement it is about.

use std::collections::{HashMap, VecDeque};

use super::messages::{self, CANCEL_REQUEST, ENCRYPTION_REPLY, ENCRYPTION_REQUEST, STARTUP, Side};
use super::statement::describe;

/// The codes that stand where the version does, in what asks for encryption or for a cancellation.
const SSL_CODE: u32 = 80_877_103;
const GSS_CODE: u32 = 80_877_104;
const CANCEL_CODE: u32 = 80_877_102;

/// A connection, as both sides have used it so far.
#[derive(Default)]
pub struct Conversation {
    /// The worker has said who it is: messages have tags from here on.
    started: bool,
    /// Encrypted, or of another protocol: bytes pass as they come.
    opaque: bool,
    /// What the worker's names stand for.
    statements: HashMap<Vec<u8>, String>,
    portals: HashMap<Vec<u8>, String>,
    /// The statement that was named last.
    last: Option<String>,
    /// Requests whose answers have not come to their end, the oldest first.
    open: VecDeque<Open>,
}

struct Open {
    request: &'static str,
    about: Option<String>,
}

/// A whole message at the beginning of what was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// How many bytes it has.
    pub length: usize,
    /// What it is; nothing of bytes that cannot be told apart.
    pub name: Option<&'static str>,
    /// The statement that it is about.
    pub about: Option<String>,
}

impl Conversation {
    /// The first message of what one side has sent, once all of it is there.
    pub fn next(&mut self, side: Side, bytes: &[u8]) -> Option<Message> {
        if self.opaque {
            return self.all(bytes);
        }
        match (side, self.started) {
            (Side::Request, false) => self.opening(bytes),
            (Side::Reply, false) => self.encryption(bytes),
            (_, true) => self.tagged(side, bytes),
        }
    }

    fn all(&mut self, bytes: &[u8]) -> Option<Message> {
        self.opaque = true;
        (!bytes.is_empty()).then_some(Message { length: bytes.len(), name: None, about: None })
    }

    /// What a connection begins with: a length and a code.
    fn opening(&mut self, bytes: &[u8]) -> Option<Message> {
        let (length, code) = (number(bytes, 0)?, number(bytes, 4)?);
        let name = match code {
            SSL_CODE | GSS_CODE => ENCRYPTION_REQUEST,
            CANCEL_CODE => CANCEL_REQUEST,
            version if version >> 16 == 3 => STARTUP,
            _ => return self.all(bytes),
        };
        let length = whole(length, bytes)?;
        self.started = name == STARTUP;
        self.open.push_back(Open { request: name, about: None });
        Some(Message { length, name: Some(name), about: None })
    }

    fn encryption(&mut self, bytes: &[u8]) -> Option<Message> {
        let answer = bytes.first()?;
        self.open.pop_front();
        // Refused, it goes on in the clear.
        self.opaque = *answer != b'N';
        Some(Message { length: 1, name: Some(ENCRYPTION_REPLY), about: None })
    }

    fn tagged(&mut self, side: Side, bytes: &[u8]) -> Option<Message> {
        let (tag, length) = (*bytes.first()?, number(bytes, 1)?);
        let Some(name) = messages::tagged(side, tag) else { return self.all(bytes) };
        let length = whole(length.checked_add(1)?, bytes)?;
        let body = &bytes[5..length];
        let about = match side {
            Side::Request => self.asked(name, body),
            Side::Reply => self.answered(name),
        };
        Some(Message { length, name: Some(name), about })
    }

    /// What a request is about; its answers will be about the same.
    fn asked(&mut self, name: &'static str, body: &[u8]) -> Option<String> {
        let (first, rest) = until_nul(body);
        let about = match name {
            "query" => Some(self.describe(first)),
            "parse" => {
                let described = self.describe(until_nul(rest).0);
                self.statements.insert(first.to_vec(), described.clone());
                Some(described)
            }
            "bind" => {
                let statement =
                    self.statements.get(until_nul(rest).0).cloned().unwrap_or_else(|| "prepared".to_owned());
                self.portals.insert(first.to_vec(), statement.clone());
                Some(statement)
            }
            "execute" => self.portals.get(first).cloned(),
            "describe" | "close" => match body.split_first() {
                Some((b'S', name)) => self.statements.get(until_nul(name).0).cloned(),
                Some((_, name)) => self.portals.get(until_nul(name).0).cloned(),
                None => None,
            },
            "password" => None,
            _ => self.last.clone(),
        };
        self.last = about.clone().or(self.last.take());
        if !ends(name).is_empty() {
            self.open.push_back(Open { request: name, about: about.clone() });
        }
        about
    }

    /// What an answer is about, and whether its request is done with.
    fn answered(&mut self, name: &'static str) -> Option<String> {
        // These come unasked.
        if matches!(name, "notice-response" | "notification-response" | "parameter-status") {
            return None;
        }
        let about = self.open.front()?.about.clone();
        if name == "error-response" {
            // Whatever was sent up to the next sync is skipped.
            while self.open.front().is_some_and(|open| !ends(open.request).contains(&"ready-for-query")) {
                self.open.pop_front();
            }
        } else if self.open.front().is_some_and(|open| ends(open.request).contains(&name)) {
            self.open.pop_front();
        }
        about
    }

    fn describe(&self, sql: &[u8]) -> String {
        describe(sql, self.last.as_deref())
    }
}

/// The answers that are the last to a request; none for what has none of its own.
fn ends(request: &str) -> &'static [&'static str] {
    match request {
        STARTUP | "query" | "sync" | "function-call" => &["ready-for-query"],
        "parse" => &["parse-complete"],
        "bind" => &["bind-complete"],
        "close" => &["close-complete"],
        "describe" => &["row-description", "no-data"],
        "execute" => &["command-complete", "empty-query-response", "portal-suspended"],
        _ => &[],
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The length of a message, if all of it is there.
fn whole(length: u32, bytes: &[u8]) -> Option<usize> {
    // A length that is less than its own four bytes would never end: it is taken for them.
    let length = usize::try_from(length).ok()?.max(5);
    (bytes.len() >= length).then_some(length)
}

fn until_nul(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == 0) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(tag: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[tag][..], &length.to_be_bytes(), body].concat()
    }

    fn startup() -> Vec<u8> {
        [&14_u32.to_be_bytes()[..], &(3_u32 << 16).to_be_bytes(), b"user\0\0"].concat()
    }

    /// The names of all messages in `bytes`, each with the word of the statement that it is about.
    fn said(conversation: &mut Conversation, side: Side, bytes: &[u8]) -> Vec<String> {
        let (mut rest, mut said) = (bytes, Vec::new());
        while let Some(message) = conversation.next(side, rest) {
            let about = message.about.unwrap_or_default();
            let about = about.rsplit_once('-').map_or(&*about, |(words, _)| words).to_owned();
            said.push(format!("{} {about}", message.name.unwrap_or("bytes")).trim().to_owned());
            rest = &rest[message.length..];
        }
        said
    }

    fn begun() -> Conversation {
        let mut conversation = Conversation::default();
        assert_eq!(said(&mut conversation, Side::Request, &startup()), ["startup"]);
        let replies = [message(b'R', &[0; 4]), message(b'S', b"a\0b\0"), message(b'Z', b"I")].concat();
        let heard = ["authentication", "parameter-status", "ready-for-query"];
        assert_eq!(said(&mut conversation, Side::Reply, &replies), heard);
        conversation
    }

    #[test]
    fn what_is_sent_at_once_is_told_apart_and_so_are_its_answers() {
        let mut conversation = begun();
        let sent = [
            message(b'P', b"s1\0update hydra.steps set a = $1\0\0\0"),
            message(b'B', b"\0s1\0\0\0"),
            message(b'E', b"\0\0\0\0\0"),
            message(b'S', b""),
            message(b'Q', b"COMMIT\0"),
        ];
        let asked = ["parse update-steps", "bind update-steps", "execute update-steps", "sync update-steps"];
        let told = said(&mut conversation, Side::Request, &sent.concat());
        assert_eq!(told[..4], asked);
        assert_eq!(told[4], "query commit-after");
        let back = [
            message(b'1', b""),
            message(b'2', b""),
            message(b'N', b"notice\0"),
            message(b'C', b"UPDATE 1\0"),
            message(b'Z', b"T"),
            message(b'C', b"COMMIT\0"),
            message(b'Z', b"I"),
        ];
        let told = [
            "parse-complete update-steps",
            "bind-complete update-steps",
            "notice-response",
            "command-complete update-steps",
            "ready-for-query update-steps",
            "command-complete commit-after",
            "ready-for-query commit-after",
        ];
        assert_eq!(said(&mut conversation, Side::Reply, &back.concat()), told);
    }

    #[test]
    fn an_error_answers_all_up_to_the_next_sync() {
        let mut conversation = begun();
        let sent = [message(b'P', b"\0select 1 from a\0\0\0"), message(b'B', b"\0\0\0\0"), message(b'S', b"")];
        said(&mut conversation, Side::Request, &[sent.concat(), message(b'Q', b"select 2 from b\0")].concat());
        let back = [message(b'E', b"\0"), message(b'Z', b"I"), message(b'D', b"\0\0")];
        let told = ["error-response select-a", "ready-for-query select-a", "data-row select-b"];
        assert_eq!(said(&mut conversation, Side::Reply, &back.concat()), told);
    }

    #[test]
    fn a_message_is_told_when_all_of_it_is_there() {
        let mut conversation = begun();
        let query = message(b'Q', b"select 1\0");
        for part in 0..query.len() {
            assert_eq!(conversation.next(Side::Request, &query[..part]), None);
        }
        assert_eq!(conversation.next(Side::Request, &query).map(|message| message.length), Some(query.len()));
    }

    #[test]
    fn a_refused_encryption_goes_on_in_the_clear_and_an_accepted_one_is_bytes() {
        let ask = [8_u32.to_be_bytes(), SSL_CODE.to_be_bytes()].concat();
        let mut conversation = Conversation::default();
        assert_eq!(said(&mut conversation, Side::Request, &ask), ["encryption-request"]);
        assert_eq!(said(&mut conversation, Side::Reply, b"N"), ["encryption-reply"]);
        assert_eq!(said(&mut conversation, Side::Request, &startup()), ["startup"]);
        let mut conversation = Conversation::default();
        said(&mut conversation, Side::Request, &ask);
        assert_eq!(said(&mut conversation, Side::Reply, b"S"), ["encryption-reply"]);
        assert_eq!(said(&mut conversation, Side::Request, &[0x16, 3, 1, 0]), ["bytes"]);
        // Nor does another protocol stop it.
        assert_eq!(said(&mut Conversation::default(), Side::Request, b"GET / HTTP/1.1"), ["bytes"]);
    }
}
