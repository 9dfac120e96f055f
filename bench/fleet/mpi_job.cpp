// SPDX-License-Identifier: Apache-2.0
#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <optional>
#include <span>
#include <thread>

#include "bench/fleet/job.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/interrupt.hpp"

namespace kqbench {
namespace {

using Seconds = std::chrono::duration<double>;

/// Of the second between SIGTERM and SIGKILL: for others' reports to come, and the rest for rank 0 to write them.
constexpr Seconds grace{0.5};
/// For rank 0's answer after a signal: a little more than it waits itself.
constexpr Seconds grace_for_answer{0.75};

/// Messages. Those of rank 0 to another come in this order: go (many times), end.
enum Tag : int {
  tag_arrive = 1,  ///< to rank 0: the step that this rank has come to
  tag_go,          ///< from rank 0: a step begins, or no_more
  tag_report,      ///< to rank 0: text
  tag_end          ///< from rank 0: what was reported is safe
};
constexpr std::int64_t no_more = -1;

class MpiJob final : public Job {
 public:
  explicit MpiJob(const JobPlace& place) {
    int level = 0;
    require(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level), "starting");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    exchange_places(place);
  }

  ~MpiJob() override {
    // MPI_Finalize waits for all ranks, and so for ever for one that is gone.
    if (all_in_order_) MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  bool meet(std::int64_t step) override {
    if (over_ || interrupted()) return false;
    if (rank_ != 0) {
      send(0, tag_arrive, &step, sizeof(step));
      wait([&] { return over_ || begun_ >= step || is_gone(0); }, patience());
      return !over_ && begun_ >= step && !interrupted();
    }
    const auto others = [&] { return std::span(peers_).subspan(1); };
    const auto has_come = [&](const Peer& peer) { return peer.reported || peer.step >= step; };
    const auto all_have_come = [&] { return std::all_of(others().begin(), others().end(), has_come); };
    const auto any_is_gone = [&] {
      return std::any_of(others().begin(), others().end(),
                         [&](const Peer& peer) { return !peer.reported && !is_awaited(peer); });
    };
    wait([&] { return all_have_come() || any_is_gone(); }, patience());
    // A rank that has reported failed: nobody ends before the last step otherwise.
    const bool any_failed =
        std::any_of(others().begin(), others().end(), [](const Peer& peer) { return peer.reported; });
    if (interrupted() || any_failed || !all_have_come()) over_ = true;
    tell_all(over_ ? no_more : step);
    return !over_;
  }

  std::vector<Report> gather(const std::string& report) override {
    if (rank_ != 0) {
      report_taken_ = send(0, tag_report, report.data(), report.size());
      return {};
    }
    over_ = true;
    tell_all(no_more);
    const auto all = [&] {
      return std::none_of(peers_.begin() + 1, peers_.end(), [this](const Peer& peer) { return is_awaited(peer); });
    };
    // A signal may come while this waits; from then on it does not wait for long.
    wait(all, patience());
    if (!all() && interrupted()) wait(all, Clock::now() + std::chrono::duration_cast<Clock::duration>(grace), true);
    std::vector<Report> reports;
    for (int rank = 0; rank < size_; ++rank) {
      Peer& peer = peers_[static_cast<std::size_t>(rank)];
      if (rank == 0) {
        peer.reported = true;
        peer.report = report;
      }
      all_in_order_ = all_in_order_ && peer.reported;
      reports.push_back({places_[static_cast<std::size_t>(rank)], peer.reported, std::move(peer.report)});
    }
    return reports;
  }

  bool end() override {
    if (rank_ == 0) {
      const char fine = all_in_order_ ? 1 : 0;
      for (int rank = 1; rank < size_; ++rank) {
        if (peers_[static_cast<std::size_t>(rank)].reported) send(rank, tag_end, &fine, sizeof(fine));
      }
      return true;
    }
    const auto answered = [&] { return ended_ || is_gone(0); };
    if (report_taken_) wait(answered, patience());
    if (report_taken_ && !answered()) {
      wait(answered, Clock::now() + std::chrono::duration_cast<Clock::duration>(grace_for_answer), true);
    }
    all_in_order_ = ended_ && fine_;
    return ended_;
  }

  void broadcast(void* bytes, std::size_t size) override {
    require(MPI_Bcast(bytes, static_cast<int>(size), MPI_BYTE, 0, MPI_COMM_WORLD), "telling all ranks");
  }
  void max(float* values, std::size_t count) override {
    require(MPI_Allreduce(MPI_IN_PLACE, values, static_cast<int>(count), MPI_FLOAT, MPI_MAX, MPI_COMM_WORLD),
            "combining numbers of all ranks");
  }
  void abandon() override { all_in_order_ = false; }

 private:
  using Clock = std::chrono::steady_clock;

  struct Peer {
    pid_t process = 0;       ///< if it is seen from here
    std::int64_t step = -1;  ///< that it has come to, as far as rank 0 knows
    bool reported = false;
    std::string report;
  };

  static Clock::time_point patience() {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(Seconds(patience_seconds));
  }

  static void require(int status, const char* what) {
    if (status == MPI_SUCCESS) return;
    std::array<char, MPI_MAX_ERROR_STRING> text{};
    int length = 0;
    MPI_Error_string(status, text.data(), &length);
    throw SystemError("MPI: " + std::string(what) + ": " + text.data() + "; start kqbench by mpirun, or without MPI");
  }

  /// What every rank is told of every other one.
  struct Card {
    std::array<char, 256> host, node;
    pid_t process;
  };

  /// A collective: all ranks are there, or MPI has not started.
  void exchange_places(const JobPlace& place) {
    Card own{};
    place.host.copy(own.host.data(), own.host.size() - 1);
    place.node.copy(own.node.data(), own.node.size() - 1);
    own.process = ::getpid();
    std::vector<Card> cards(static_cast<std::size_t>(size_));
    require(MPI_Allgather(&own, sizeof(own), MPI_BYTE, cards.data(), sizeof(own), MPI_BYTE, MPI_COMM_WORLD),
            "exchanging the hosts' names");
    for (int rank = 0; rank < size_; ++rank) {
      const Card& card = cards[static_cast<std::size_t>(rank)];
      JobPlace there = place;
      there.rank = rank;
      there.size = size_;
      there.host = card.host.data();
      there.node = card.node.data();
      Peer& peer = peers_.emplace_back();
      if (there.host == place.host && ::kill(card.process, 0) == 0) peer.process = card.process;
      places_.push_back(std::move(there));
    }
  }

  /// True if its process, which is seen from here, has ended. Of one that is not seen, on another host or in another
  /// container, nothing is known.
  bool is_gone(int rank) const {
    const pid_t process = peers_[static_cast<std::size_t>(rank)].process;
    return process != 0 && ::kill(process, 0) != 0 && errno == ESRCH;
  }

  /// True while rank 0 may still hear from it.
  bool is_awaited(const Peer& peer) const {
    return !peer.reported && !is_gone(static_cast<int>(&peer - peers_.data()));
  }

  /// Until the condition holds, or the time is up, or a signal comes (unless it has come already). Takes what arrives.
  void wait(const std::function<bool()>& done, Clock::time_point until, bool despite_signal = false) {
    while (!done()) {
      if (take_one()) continue;
      if (Clock::now() >= until || (!despite_signal && interrupted())) return;
      std::this_thread::sleep_for(std::chrono::microseconds(100));  // others may need the processor
    }
  }

  /// Takes a message that has arrived; false if none has.
  bool take_one() {
    int there = 0;
    MPI_Status status;
    if (MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &there, &status) != MPI_SUCCESS || there == 0) {
      return false;
    }
    int bytes = 0;
    MPI_Get_count(&status, MPI_BYTE, &bytes);
    std::string text(static_cast<std::size_t>(bytes), '\0');
    if (MPI_Recv(text.data(), bytes, MPI_BYTE, status.MPI_SOURCE, status.MPI_TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE) !=
        MPI_SUCCESS) {
      return false;
    }
    Peer& peer = peers_[static_cast<std::size_t>(status.MPI_SOURCE)];
    std::int64_t step = no_more;
    if (text.size() == sizeof(step)) text.copy(reinterpret_cast<char*>(&step), sizeof(step));
    switch (status.MPI_TAG) {
      case tag_arrive:
        peer.step = step;
        break;
      case tag_report:
        peer.reported = true;
        peer.report = std::move(text);
        break;
      case tag_go:
        if (step == no_more) over_ = true;
        begun_ = std::max(begun_, step);
        break;
      default:
        ended_ = true;
        fine_ = !text.empty() && text[0] == 1;
        break;
    }
    return true;
  }

  /// Returns once the message is on its way. False: it was given up, because the other rank does not take it.
  bool send(int to, Tag tag, const void* bytes, std::size_t size) {
    MPI_Request request = MPI_REQUEST_NULL;
    if (MPI_Isend(bytes, static_cast<int>(size), MPI_BYTE, to, tag, MPI_COMM_WORLD, &request) != MPI_SUCCESS)
      return false;
    int sent = 0;
    const Clock::time_point until = Clock::now() + std::chrono::seconds(20);
    std::optional<Clock::time_point> until_killed;
    while (MPI_Test(&request, &sent, MPI_STATUS_IGNORE) == MPI_SUCCESS && sent == 0) {
      const Clock::time_point now = Clock::now();
      if (interrupted() && !until_killed) until_killed = now + std::chrono::duration_cast<Clock::duration>(grace);
      if (now >= until || (until_killed && now >= *until_killed) || is_gone(to)) {
        all_in_order_ = false;
        return false;
      }
      take_one();  // two that send to each other must not wait for each other
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    return sent != 0;
  }

  void tell_all(std::int64_t step) {
    for (int rank = 1; rank < size_; ++rank) {
      if (!peers_[static_cast<std::size_t>(rank)].reported) send(rank, tag_go, &step, sizeof(step));
    }
  }

  int rank_ = 0;
  int size_ = 1;
  std::vector<JobPlace> places_;  ///< rank 0: of all
  std::vector<Peer> peers_;       ///< rank 0: of all, its own unused
  std::int64_t begun_ = -1;       ///< others: the last step that rank 0 has begun
  bool over_ = false;             ///< nothing more is to be measured
  bool report_taken_ = false;     ///< others: by rank 0, or by MPI on the way to it
  bool ended_ = false;            ///< others: rank 0 has said that the report is safe
  bool fine_ = false;             ///< others: as it said, all ranks have reported
  bool all_in_order_ = true;      ///< MPI_Finalize will not wait for anyone
};

/// Whether a launcher of MPI's started this process. MPI_Init without one would start daemons of its own.
bool has_launcher() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"}) {
    if (std::getenv(name) != nullptr) return true;
  }
  return false;
}

}  // namespace

std::unique_ptr<Job> join_job(const JobPlace& place) {
  if (!has_launcher()) return nullptr;
  return std::make_unique<MpiJob>(place);
}

std::string mpi_version() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  if (MPI_Get_library_version(text.data(), &length) != MPI_SUCCESS) return {};
  const std::string version = text.data();
  return version.substr(0, version.find_first_of(",\n"));
}

}  // namespace kqbench
