//! By which way a conversation came.

/// The way by which a conversation came, and by which it is answered. Further ones (mail, an API)
/// are further variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Channel {
    /// The widget, while somebody was there to answer.
    #[default]
    Widget,
    /// A message that was left in the widget while nobody was there.
    OfflineMessage,
}

impl Channel {
    /// The way through the widget: a message is left, or somebody is there.
    pub fn of_widget(is_left: bool) -> Self {
        if is_left { Self::OfflineMessage } else { Self::Widget }
    }

    /// Whether it is a message that was left: what `offline_message` says on the wire, over REST
    /// and in the database.
    pub fn is_offline_message(self) -> bool {
        match self {
            Self::Widget => false,
            Self::OfflineMessage => true,
        }
    }
}
