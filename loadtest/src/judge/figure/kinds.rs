//! What there are figures of: each with its word, and with what it is as reports say it. The words
//! of the doc comments are those of the reports.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[doc = $doc:literal])* $name:ident { $( $(#[doc = $vdoc:literal])+ $variant:ident $word:literal, )+ }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(crate) enum $name { $( $(#[doc = $vdoc])+ $variant, )+ }

        impl $name {
            pub(crate) const ALL: &'static [Self] = &[$( Self::$variant, )+];

            pub(crate) const fn word(self) -> &'static str {
                match self { $( Self::$variant => $word, )+ }
            }

            pub(crate) const fn about(self) -> &'static str {
                match self { $( Self::$variant => concat!($( $vdoc ),+), )+ }
            }
        }
    };
}

words! {
    /// What is timed.
    Timing {
        /// From the moment a message was due until one of those who hear it had it.
        Delivery "delivery",
        /// The same from the moment it was really sent, without what was missed and came after a
        /// resume.
        DeliveryService "delivery_service",
        /// From the moment a message was due until its sender knew that it is stored.
        Ack "ack",
        /// The same from the moment it was really sent.
        AckService "ack_service",
        /// From the moment someone was due to come until their welcome.
        Connect "connect",
        /// From a connection's end until its owner is where they were, all that they missed
        /// included.
        Resume "resume",
        /// From the opening of a conversation until an agent has it.
        QueueWait "queue_wait",
        /// From the opening of a conversation until its first answer.
        FirstResponse "first_response",
        /// How late the generator itself sent what was due.
        SendLag "send_lag",
        /// How late the generator's own timers fire.
        LoopLag "loop_lag",
    }
}

words! {
    /// What is counted.
    Count {
        /// Messages sent, each once.
        Sent "sent",
        /// Characters of the messages sent.
        Chars "chars",
        /// Messages that were acked.
        Acked "acked",
        /// Messages that were acked before the phase ended in which they were due.
        AckedInTime "acked_in_time",
        /// Messages that came, at each of those who hear them.
        Delivered "delivered",
        /// Messages that were refused for good.
        Refused "refused",
        /// Messages that were due and that the generator could not even begin to send.
        Unsent "unsent",
        /// Refusals for a while: too fast, or the server cannot take it now. Each is sent again
        /// when it is time.
        PutOff "put_off",
        /// Messages sent again, because their answer was lost or they were refused for a while.
        Resent "resent",
        /// Questions other than messages that were refused.
        Rejected "rejected",
        /// Connections that were welcomed.
        Connects "connects",
        /// Attempts to connect that failed.
        ConnectFailures "connect_failures",
        /// Connections that ended without our doing.
        Disconnects "disconnects",
        /// Connections of slow readers that the server closed.
        SlowCloses "slow_closes",
        /// Connections that we cut.
        Cuts "cuts",
        /// Visits that began.
        Visits "visits",
        /// Visits that ended as they should.
        VisitsDone "visits_done",
        /// Visitors who left before an agent came.
        Abandoned "abandoned",
        /// Conversations that an agent took.
        Taken "taken",
        /// Hostile clients that were turned away as they should.
        Repelled "repelled",
        /// Hostile clients that were neither answered nor turned away.
        Unrepelled "unrepelled",
        /// Messages of bots.
        BotMessages "bot_messages",
        /// Agents seen with more conversations than they take.
        OverCapacity "over_capacity",
        /// Conversations offered to one agent while another one had them.
        OfferedTwice "offered_twice",
        /// Places in the queue that went back.
        PositionGrew "position_grew",
        /// Visitors who were offered to nobody before one who came after them.
        OutOfTurn "out_of_turn",
    }
}

words! {
    /// What the ledger finds.
    Finding {
        /// messages that came, each once at each hearer
        Received "received",
        /// acked, and never came to one who was to hear them
        Lost "lost",
        /// came twice
        Duplicate "duplicate",
        /// came after a later one
        Reordered "reordered",
        /// came changed, or are no frame
        Corrupt "corrupt",
        /// came to one who has no part in their conversation, or in another one than they were said
        /// in
        Misdelivered "misdelivered",
        /// came after a resume
        Resumed "resumed",
        /// were never acked: no answer came, or they were put off to the end
        Unacked "unacked",
        /// were taken back
        Voided "voided",
    }
}

words! {
    /// What is neither timed nor counted as such.
    Measure {
        /// the server's own time from reading a message to its last local write, by its /metrics:
        /// the upper end of a bucket
        ServerDeliveryP50Ms "server_delivery_p50_ms",
        /// the same at the 99th percentile
        ServerDeliveryP99Ms "server_delivery_p99_ms",
        /// the server's own time from reading a message to its durable ack, likewise the upper end
        /// of a bucket
        ServerAckP50Ms "server_ack_p50_ms",
        /// the same at the 99th percentile
        ServerAckP99Ms "server_ack_p99_ms",
        /// messages acked in a second of the measured phases
        MessagesPerSecond "messages_per_second",
        /// the same, of messages that came
        DeliveriesPerSecond "deliveries_per_second",
        /// the server's user and system time for each message sent
        ServerCpuUsPerMessage "server_cpu_us_per_message",
        /// the same for each message that came
        ServerCpuUsPerDelivery "server_cpu_us_per_delivery",
        /// the same for each connection of the beginning, its conversation included
        ServerCpuUsPerConnect "server_cpu_us_per_connect",
        /// cores that the server used on average
        ServerCpuCores "server_cpu_cores",
        /// its resident memory at the end
        ServerResidentMb "server_resident_mb",
        /// the most that was seen of it
        ServerResidentMbMax "server_resident_mb_max",
        /// its growth from a tenth of the measured time to the end
        ServerResidentGrowthMb "server_resident_growth_mb",
        /// its growth while people came, for each of them: too low where they moved into memory
        /// that it had freed before, such as a password's at the beginning
        ServerBytesPerConnection "server_bytes_per_connection",
        /// cores that the generator used on average
        GeneratorCpuCores "generator_cpu_cores",
        /// its resident memory at the end
        GeneratorResidentMb "generator_resident_mb",
        /// connections when the run began
        Connections "connections",
        /// the highest rate that kept the aim of a search
        HighestRate "highest_rate",
        /// length of the measured phases
        MeasuredSeconds "measured_seconds",
        /// characters of a message, on average
        SizeMeanChars "size_mean_chars",
    }
}

impl Count {
    /// What a server does to its clients once it has more than it can take. A search looks for that
    /// on purpose: each try has its own, and what happened in the higher ones says nothing of the
    /// best.
    pub(crate) const BREAKS: [Self; 5] =
        [Self::Refused, Self::Unsent, Self::Rejected, Self::ConnectFailures, Self::Disconnects];

    /// What must hold, or is known to happen, at any time: it counts from the first who comes to
    /// the last who goes, and not in the measured phases alone.
    pub(crate) const WHOLE: [Self; 10] = [
        Self::Refused,
        Self::Unsent,
        Self::Rejected,
        Self::ConnectFailures,
        Self::Disconnects,
        Self::Unrepelled,
        Self::OverCapacity,
        Self::OfferedTwice,
        Self::PositionGrew,
        Self::OutOfTurn,
    ];
}
