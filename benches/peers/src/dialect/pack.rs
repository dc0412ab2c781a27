//! As much of MessagePack as it takes to walk past what is not needed: a driver decodes nothing that it can skip.

/// A place in a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk<'a> {
    rest: &'a [u8],
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<u64> {
        Some(self.take(bytes)?.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }

    fn length(&mut self, bytes: usize) -> Option<usize> {
        usize::try_from(self.number(bytes)?).ok()
    }

    /// An array's head: how many items follow.
    pub(super) fn array(&mut self) -> Option<usize> {
        match self.number(1)? {
            head @ 0x90..=0x9f => usize::try_from(head & 0x0f).ok(),
            0xdc => self.length(2),
            0xdd => self.length(4),
            _ => None,
        }
    }

    /// A number that is not negative.
    pub(super) fn uint(&mut self) -> Option<u64> {
        match self.number(1)? {
            small @ 0..=0x7f => Some(small),
            0xcc => self.number(1),
            0xcd => self.number(2),
            0xce => self.number(4),
            0xcf => self.number(8),
            _ => None,
        }
    }

    /// A text's bytes.
    pub(super) fn text(&mut self) -> Option<&'a [u8]> {
        let length = match self.number(1)? {
            head @ 0xa0..=0xbf => usize::try_from(head & 0x1f).ok()?,
            0xd9 => self.length(1)?,
            0xda => self.length(2)?,
            _ => return None,
        };
        self.take(length)
    }

    /// Passes over one value, whatever it is.
    pub(super) fn skip(&mut self) -> Option<()> {
        let mut left = 1_usize;
        while left > 0 {
            left -= 1;
            let head = self.take(1)?.first().copied()?;
            let length = match head {
                0x80..=0x8f => {
                    left += 2 * usize::from(head & 0x0f);
                    0
                }
                0x90..=0x9f => {
                    left += usize::from(head & 0x0f);
                    0
                }
                0xa0..=0xbf => usize::from(head & 0x1f),
                0xc4 | 0xd9 => self.length(1)?,
                0xc5 | 0xda => self.length(2)?,
                0xc6 | 0xdb => self.length(4)?,
                0xcc | 0xd0 => 1,
                0xcd | 0xd1 => 2,
                0xca | 0xce | 0xd2 => 4,
                0xcb | 0xcf | 0xd3 => 8,
                0xdc => {
                    left += self.length(2)?;
                    0
                }
                0xdd => {
                    left += self.length(4)?;
                    0
                }
                _ => 0,
            };
            self.take(length)?;
        }
        Some(())
    }
}
