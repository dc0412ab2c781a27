//! Whether every message came: once, in order, unchanged, to everyone who was to hear it.
//!
//! Each speaker and each recipient keeps a tally of their own and hands it in at the end; the
//! controller compares all tallies of all workers at the end. What was acked must have come; what
//! was refused need not; of what was never answered nobody knows, and that is counted for itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use protocol::ids::ConversationId;
use serde::{Deserialize, Serialize};

use crate::judge::figure::Finding;
use crate::people::stamp::{Fault, Stamp};

/// Messages that a `void` may still name; a server takes back the newest only.
const RECENT_MAX: usize = 64;
/// Examples of what went wrong in a report.
const EXAMPLES_MAX: usize = 10;

/// How a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As it was said.
    Pushed,
    /// In the page that one gets on entering: what was said before.
    Entered,
    /// In the page after a resume.
    Resumed,
    /// In a page that replaces what was there: seeing it again is right.
    Replaced,
}

/// What one recipient has of one speaker.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Received {
    /// One more than the highest number that came.
    next: u32,
    /// Lower numbers that did not.
    missing: BTreeSet<u32>,
}

impl Received {
    fn count(&self) -> u64 {
        u64::from(self.next) - crate::number::long(self.missing.len())
    }
}

/// What was wrong with what came, and how much of it was right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Findings {
    /// Messages that came, each once.
    pub(crate) received: u64,
    pub(crate) lost: u64,
    pub(crate) duplicate: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    /// Came to one who has no part in their conversation, or in another one than they were said in.
    pub(crate) misdelivered: u64,
    /// Of `received`: those that came after a resume.
    pub(crate) resumed: u64,
    /// Sent and never answered.
    pub(crate) unacked: u64,
    /// Taken back with `void`.
    pub(crate) voided: u64,
}

impl Findings {
    pub(crate) fn of(&self, finding: Finding) -> u64 {
        match finding {
            Finding::Received => self.received,
            Finding::Lost => self.lost,
            Finding::Duplicate => self.duplicate,
            Finding::Reordered => self.reordered,
            Finding::Corrupt => self.corrupt,
            Finding::Misdelivered => self.misdelivered,
            Finding::Resumed => self.resumed,
            Finding::Unacked => self.unacked,
            Finding::Voided => self.voided,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.lost += other.lost;
        self.duplicate += other.duplicate;
        self.reordered += other.reordered;
        self.corrupt += other.corrupt;
        self.misdelivered += other.misdelivered;
        self.resumed += other.resumed;
        self.unacked += other.unacked;
        self.voided += other.voided;
    }

    /// What a recipient found since: what is wrong the moment it comes, and not what may yet come.
    pub(crate) fn wrong_since(&self, before: &Self) -> Self {
        Self {
            duplicate: self.duplicate - before.duplicate,
            reordered: self.reordered - before.reordered,
            corrupt: self.corrupt - before.corrupt,
            ..Self::default()
        }
    }
}

/// One recipient's tally of one conversation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recipient {
    run: u32,
    from: HashMap<u32, Received>,
    seq_last: u64,
    recent: VecDeque<(u64, u32, u32)>,
    /// Taken back: they come again, and later.
    voided: BTreeSet<(u32, u32)>,
    pub(crate) found: Findings,
}

impl Recipient {
    pub(crate) fn new(run: u32) -> Self {
        Self { run, ..Self::default() }
    }

    /// Takes a text at its sequence number. Gives its stamp where it is news.
    pub(crate) fn take(&mut self, text: &str, seq: u64, way: Way) -> Option<Stamp> {
        let stamp = match Stamp::read(text) {
            Ok(stamp) if stamp.run == self.run => stamp,
            // Another run's conversation cannot be this one.
            Ok(_) | Err(Fault::Corrupt) => {
                self.found.corrupt += 1;
                return None;
            }
            Err(Fault::Foreign) => {
                // Everything that is said in a run is stamped.
                self.found.corrupt += 1;
                return None;
            }
        };
        let out_of_order = way == Way::Pushed && seq <= self.seq_last;
        self.seq_last = self.seq_last.max(seq);
        let heard = self.from.entry(stamp.sender).or_default();
        let late = stamp.number < heard.next;
        if late && !heard.missing.remove(&stamp.number) {
            if matches!(way, Way::Pushed | Way::Resumed) {
                self.found.duplicate += 1;
            }
            return None;
        }
        if !late {
            heard.missing.extend(heard.next..stamp.number);
            heard.next = stamp.number + 1;
        }
        let again = self.voided.remove(&(stamp.sender, stamp.number));
        if way == Way::Pushed && !again && (late || out_of_order) {
            self.found.reordered += 1;
        }
        self.found.received += 1;
        self.found.resumed += u64::from(matches!(way, Way::Resumed | Way::Replaced));
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((seq, stamp.sender, stamp.number));
        Some(stamp)
    }

    /// A page comes with these sequence numbers: they rise within it, whatever it fills.
    pub(crate) fn page(&mut self, numbers: impl IntoIterator<Item = u64>) {
        let mut last = 0;
        for number in numbers {
            self.found.reordered += u64::from(number <= last);
            last = last.max(number);
        }
    }

    /// A frame came that is none, or one of the system's messages moves the seq on.
    pub(crate) fn passed(&mut self, seq: u64) {
        self.seq_last = self.seq_last.max(seq);
    }

    /// The server takes a message back.
    pub(crate) fn void(&mut self, seq: u64) {
        let Some(at) = self.recent.iter().position(|(number, ..)| *number == seq) else { return };
        if let Some((_, sender, number)) = self.recent.remove(at) {
            self.from.entry(sender).or_default().missing.insert(number);
            self.voided.insert((sender, number));
            self.found.received -= 1;
            self.found.voided += 1;
        }
    }

    /// The tally as it is handed in. `judged`: whether they were to hear everything.
    pub(crate) fn tally(
        &self,
        conversation: ConversationId,
        own: Option<u32>,
        judged: bool,
    ) -> ReceivedTally {
        let from = self.from.iter().map(|(sender, heard)| (*sender, heard.clone())).collect();
        ReceivedTally { conversation, own, judged, from, found: self.found }
    }
}

/// What one recipient hands in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ReceivedTally {
    conversation: ConversationId,
    /// Their own number as a speaker: nobody hears themselves.
    own: Option<u32>,
    judged: bool,
    from: Vec<(u32, Received)>,
    found: Findings,
}

/// How much was heard of one speaker in one conversation.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Voice {
    conversation: ConversationId,
    sender: u32,
    messages: u64,
}

/// What one speaker hands in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SentTally {
    pub(crate) conversation: ConversationId,
    pub(crate) sender: u32,
    /// Numbers that they used: all below this.
    pub(crate) used: u32,
    /// Of these: refused for good, or said again under another number.
    pub(crate) refused: Vec<u32>,
    /// Of these: never acked, be it that no answer came or that they were put off to the end.
    pub(crate) unacked: Vec<u32>,
}

/// All tallies of one worker.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Ledger {
    said: Vec<SentTally>,
    heard: Vec<ReceivedTally>,
    /// Of conversations that were settled before the end, and of what came in none.
    settled: Findings,
    examples: Vec<String>,
    /// In which conversation each speaker speaks.
    homes: HashMap<u32, ConversationId>,
    /// Received where it was settled, of speakers who have no part there as far as was known.
    strangers: Vec<Voice>,
    /// Who handed nothing in, in numbers.
    absent: BTreeMap<String, u64>,
}

impl Ledger {
    pub(crate) fn said(&mut self, tally: SentTally) {
        if tally.used > 0 {
            self.homes.insert(tally.sender, tally.conversation);
            self.said.push(tally);
        }
    }

    pub(crate) fn heard(&mut self, tally: ReceivedTally) {
        self.heard.push(tally);
    }

    /// A frame that is none came to somebody, in no conversation that can be named.
    pub(crate) fn garbled(&mut self) {
        self.settled.corrupt += 1;
    }

    /// So many messages came to one who has no part in their conversation.
    pub(crate) fn misdelivered(&mut self, conversation: ConversationId, messages: u64) {
        self.settled.misdelivered += messages;
        self.example(format!("what was said in {conversation} came to one who has no part in it"));
    }

    /// Something else that went wrong, in words.
    pub(crate) fn example(&mut self, words: String) {
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(words);
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.said.extend(other.said);
        self.heard.extend(other.heard);
        self.settled.add(&other.settled);
        self.examples.extend(other.examples);
        self.homes.extend(other.homes);
        self.strangers.extend(other.strangers);
        for (who, count) in other.absent {
            *self.absent.entry(who).or_default() += count;
        }
    }

    /// Those of whom a tally was to come, and did not.
    pub(crate) fn absent(&mut self, absent: BTreeMap<String, u64>) {
        self.absent = absent;
    }

    /// Who they are, in words: what was said to them and by them is not judged.
    pub(crate) fn unjudged(&self) -> Option<String> {
        let who = self.absent.iter().map(|(who, count)| format!("{count} of the {who}"));
        let who: Vec<String> = who.collect();
        (!who.is_empty()).then(|| {
            format!(
                "{} handed nothing in: whether they had all that they were to hear, nobody knows",
                who.join(" and ")
            )
        })
    }

    /// Settles conversations that nobody will hand in more of, so that a long run does not fill the
    /// memory.
    pub(crate) fn settle(&mut self, over: &BTreeSet<ConversationId>) {
        let mut part = Self::default();
        let is_over = |conversation: &ConversationId| over.contains(conversation);
        part.said = self.said.extract_if(.., |tally| is_over(&tally.conversation)).collect();
        part.heard = self.heard.extract_if(.., |tally| is_over(&tally.conversation)).collect();
        // Whose home is not known yet is judged at the end, when all have handed in.
        let voices = part.heard.iter().flat_map(ReceivedTally::voices);
        let strangers = voices.filter(|v| self.homes.get(&v.sender) != Some(&v.conversation));
        self.strangers.extend(strangers);
        let (found, examples) = part.judge();
        self.settled.add(&found);
        self.examples.extend(examples);
        self.examples.truncate(EXAMPLES_MAX);
    }

    /// What was heard in another conversation than it was said in.
    fn astray(&self) -> Vec<Voice> {
        let voices = self.heard.iter().flat_map(ReceivedTally::voices);
        let voices = voices.chain(self.strangers.iter().copied());
        voices
            .filter(|v| self.homes.get(&v.sender).is_some_and(|home| *home != v.conversation))
            .collect()
    }

    /// Compares what was said with what was heard.
    pub(crate) fn judge(&self) -> (Findings, Vec<String>) {
        let mut found = self.settled;
        let mut examples = self.examples.clone();
        let mut speakers: HashMap<ConversationId, Vec<&SentTally>> = HashMap::new();
        for said in &self.said {
            speakers.entry(said.conversation).or_default().push(said);
            found.unacked += u64::from(crate::number::short(said.unacked.len()));
            if let Some(number) = said.unacked.first() {
                let words = format!(
                    "message {number} of speaker {} in {} was never acked",
                    said.sender, said.conversation
                );
                examples.push(words);
            }
        }
        for recipient in &self.heard {
            found.add(&recipient.found);
            let speakers = speakers.get(&recipient.conversation).map_or(&[][..], Vec::as_slice);
            for said in speakers
                .iter()
                .filter(|said| recipient.judged && recipient.own != Some(said.sender))
            {
                let lost = recipient.lost(said);
                found.lost += crate::number::long(lost.len());
                if let Some(number) = lost.first() {
                    let words = format!(
                        "message {number} of speaker {} never reached one who watches {}",
                        said.sender, said.conversation
                    );
                    examples.push(words);
                }
            }
        }
        for voice in self.astray() {
            found.misdelivered += voice.messages;
            examples.push(format!(
                "speaker {} was heard in {}, in which they have no part",
                voice.sender, voice.conversation
            ));
        }
        examples.truncate(EXAMPLES_MAX);
        (found, examples)
    }
}

impl ReceivedTally {
    fn voices(&self) -> impl Iterator<Item = Voice> + '_ {
        self.from.iter().map(|(sender, heard)| Voice {
            conversation: self.conversation,
            sender: *sender,
            messages: heard.count(),
        })
    }

    /// Numbers that were acked and did not come.
    fn lost(&self, said: &SentTally) -> Vec<u32> {
        let none = Received::default();
        let heard = self.from.iter().find(|(sender, _)| *sender == said.sender);
        let heard = heard.map_or(&none, |(_, heard)| heard);
        let never = heard.next..said.used;
        let missing = heard.missing.iter().copied().filter(|number| *number < said.used);
        missing
            .chain(never)
            .filter(|number| !said.refused.contains(number) && !said.unacked.contains(number))
            .collect()
    }
}

#[cfg(test)]
mod tests;
