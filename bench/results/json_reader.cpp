// SPDX-License-Identifier: Apache-2.0
#include "bench/results/json_reader.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "bench/measure/statistics.hpp"
#include "bench/results/contradictions.hpp"
#include "bench/results/json_writer.hpp"
#include "bench/results/row_text.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/tensors/input_file.hpp"
#include "kq/parameters.hpp"

namespace kqbench {
namespace {

/// A JSON scalar. Integers that are not negative arrive as unsigned.
using Scalar = std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, double, std::string>;

constexpr double least_microseconds = 1e-9;
constexpr double most_microseconds = 1e12;  // eleven days
constexpr double most_ratio = 1e12;
constexpr std::size_t most_entries = 256;  // of a map
constexpr std::size_t most_depth = 16;
constexpr std::uint64_t most_bytes = std::uint64_t{1} << 62;

/// What a list or an object of the file is.
enum class Place : std::uint8_t {
  root,
  context,
  libraries,
  implementations,
  ceilings,
  canaries,
  canary,
  ranks,
  rank,
  rank_clocks,
  rows,
  row,
  codes_checked,
  time,
  time_ci95,
  samples,
  rounds,
  ratio_ci95,
  clocks,
  run_clocks,
  unknown,
};

/// Lists of objects.
bool holds_objects(Place place) {
  return place == Place::rows || place == Place::canaries || place == Place::ranks;
}

bool is_list(Place place) {
  return holds_objects(place) || place == Place::time_ci95 || place == Place::samples || place == Place::rounds ||
         place == Place::ratio_ci95;
}

/// Lists of numbers, and objects whose members have names that are not known beforehand.
bool holds_scalars(Place place) {
  return place == Place::libraries || place == Place::implementations || place == Place::ceilings ||
         place == Place::time_ci95 || place == Place::samples || place == Place::rounds || place == Place::ratio_ci95;
}

class Reader;

/// A member of an object: either a scalar, or another object or list.
struct Member {
  std::string_view name;
  bool required;
  void (*set)(Reader& reader, const Scalar& value);  ///< null: only `opens` is allowed
  Place opens = Place::unknown;                      ///< unknown: only a scalar is allowed
  const kq::Parameter* parameter = nullptr;          ///< set instead of calling `set`, in the row's or canary's request
};

std::span<const Member> members_of(Place place);

/// An object or a list that has begun and not ended.
struct Level {
  Place place = Place::unknown;
  const Member* member = nullptr;  ///< of an object: the one whose value comes next; null if not known
  std::string key;                 ///< of an object: its name
  std::uint64_t seen = 0;          ///< of an object: one bit a known member
  std::size_t count = 0;           ///< values so far
};

[[noreturn]] void fail(const std::string& name, const std::string& what) {
  throw UsageError(fmt::format("{}: {}", name, what));
}

[[noreturn]] void fail_no_result(const std::string& name, const std::string& why) {
  fail(name, fmt::format("is not a result file of kqbench: {}; give one that --json wrote", why));
}

[[noreturn]] void fail_no_json(const std::string& name, std::size_t position) {
  fail(name, fmt::format("is not a result file: no JSON from byte {} on; give one that --json wrote", position));
}

/// Called by nlohmann's parser, value by value: nothing is kept but what the result needs.
class Reader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Reader(std::string name, std::size_t text_size) : name_(std::move(name)), text_size_(text_size) {}

  // --- events -------------------------------------------------------------------------------------------------------

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(std::int64_t value) override { return scalar(value); }
  bool number_unsigned(std::uint64_t value) override { return scalar(value); }
  bool number_float(double value, const std::string& /*text*/) override { return scalar(value); }
  bool string(std::string& value) override { return scalar(std::move(value)); }
  bool binary(nlohmann::json::binary_t& /*value*/) override { return false; }  // JSON has none

  bool start_object(std::size_t /*size*/) override { return begin(false); }
  bool start_array(std::size_t /*size*/) override { return begin(true); }
  bool end_array() override {
    end();
    return true;
  }
  bool end_object() override {
    const Level& level = levels_.back();
    const std::span<const Member> members = members_of(level.place);
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (members[i].required && (level.seen >> i & 1) == 0) {
        fail(name_, fmt::format("{}: {} is missing; write the file again", where_container(), members[i].name));
      }
    }
    end();
    return true;
  }

  bool key(std::string& name) override {
    Level& level = levels_.back();
    if (level.place == Place::root && level.seen == 0 && name != "schema") {
      fail_no_result(name_, "its first member is not schema");
    }
    level.key = std::move(name);
    level.member = nullptr;
    const std::span<const Member> members = members_of(level.place);
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (members[i].name != level.key) continue;
      level.member = &members[i];
      if ((level.seen >> i & 1) != 0) bad("is given twice");
      level.seen |= std::uint64_t{1} << i;
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::json::exception& error) override {
    if (error.id == 406) fail(name_, fmt::format("has a number that is out of range at byte {}", position));
    if (position > text_size_) {
      fail(name_, fmt::format("is cut short: it ends at byte {} in the middle; copy or write it again", text_size_));
    }
    fail_no_json(name_, position);
  }

  // --- checked values -----------------------------------------------------------------------------------------------

  [[noreturn]] void bad(const std::string& what) const {
    fail(name_, fmt::format("{}: {}; write the file again", where(), what));
  }

  std::string text(const Scalar& value) const {
    const auto* const string = std::get_if<std::string>(&value);
    if (string == nullptr) bad("must be text");
    std::string clean = *string;
    for (std::size_t i = 0; i < clean.size(); ++i) {  // terminals obey control characters, U+0080 to U+009F among them
      const auto byte = static_cast<unsigned char>(clean[i]);
      const bool c1 = byte == 0xc2 && static_cast<unsigned char>(clean[i + 1]) < 0xa0;
      if (byte < 0x20 || byte == 0x7f || c1) clean[i] = '?';
      if (c1) clean.erase(i + 1, 1);
    }
    return clean;
  }

  std::string word(const Scalar& value) const {
    std::string name = text(value);
    if (name.empty() || name.size() > 64) bad("must have 1 to 64 characters");
    return name;
  }

  bool truth(const Scalar& value) const {
    const auto* const boolean = std::get_if<bool>(&value);
    if (boolean == nullptr) bad("must be true or false");
    return *boolean;
  }

  std::uint64_t count(const Scalar& value, std::uint64_t most = most_bytes) const {
    const auto* const number = std::get_if<std::uint64_t>(&value);
    if (number == nullptr || *number > most) bad(fmt::format("must be an integer from 0 to {}", most));
    return *number;
  }

  int rank_number(const Scalar& value) const { return static_cast<int>(count(value, 1 << 30)); }

  std::int64_t signed_count(const Scalar& value) const { return static_cast<std::int64_t>(count(value)); }

  double number(const Scalar& value, double least, double most) const {
    double number = std::numeric_limits<double>::quiet_NaN();
    if (const auto* const real = std::get_if<double>(&value)) number = *real;
    if (const auto* const integer = std::get_if<std::int64_t>(&value)) number = static_cast<double>(*integer);
    if (const auto* const natural = std::get_if<std::uint64_t>(&value)) number = static_cast<double>(*natural);
    if (!(number >= least) || !(number <= most)) bad(fmt::format("must be a number from {:g} to {:g}", least, most));
    return number;
  }

  std::optional<double> number_or_null(const Scalar& value, double least, double most) const {
    if (std::holds_alternative<std::nullptr_t>(value)) return std::nullopt;
    return number(value, least, most);
  }

  double microseconds(const Scalar& value) const { return number(value, least_microseconds, most_microseconds); }

  kq::ParameterValue parameter_value(const kq::Parameter& parameter, const Scalar& value) const {
    switch (parameter.kind) {
      case kq::ParameterKind::name:
        return text(value);
      case kq::ParameterKind::flag:
        return truth(value);
      case kq::ParameterKind::count:
        return signed_count(value);
      case kq::ParameterKind::number:
        if (const auto number = number_or_null(value, 0.0, std::numeric_limits<float>::max())) return *number;
        break;
    }
    return {};
  }

  void set_parameter(const kq::Parameter& parameter, kq::Request& request, const Scalar& scalar) const {
    const kq::ParameterValue value = parameter_value(parameter, scalar);
    if (parameter.set(request, value)) return;
    bad(fmt::format("{} is not known to this version of kqbench", in_quotes(kq::to_text(value))));
  }

  void schema(const Scalar& value) const {
    const std::string schema = text(value);
    const std::string prefix = fmt::format("{}/", result_schema_name);
    int version = 0;
    const char* const end = schema.data() + schema.size();
    const std::string why = "its schema is " + in_quotes(schema);
    if (schema.starts_with("kqbench-conformance/")) {
      fail(name_, "is a table of conformance, not a result file; give report such a one as --conformance FILE");
    }
    if (!schema.starts_with(prefix)) fail_no_result(name_, why);
    const auto [stopped, error] = std::from_chars(schema.data() + prefix.size(), end, version);
    if (error == std::errc::result_out_of_range || version > result_schema_version) {
      fail(name_, fmt::format("is of schema {}, and this kqbench reads up to {}{}; use the kqbench that wrote it, or a "
                              "newer one",
                              in_quotes(schema), prefix, result_schema_version));
    }
    if (error != std::errc() || stopped != end || version < 1) fail_no_result(name_, why);
  }

  // --- what is being read -------------------------------------------------------------------------------------------

  ResultFile result;
  Canary canary;
  RankContext rank;
  Row row;
  DerivedMembers derived;  ///< of the row
  TimeStatistics time;
  RowClocks clocks;
  std::vector<double> pair;    ///< the interval being read
  bool drifted_given = false;  ///< in the row

  bool finished() const { return finished_; }

 private:
  /// "rows[3].num_tokens".
  std::string where() const {
    std::string path;
    for (const Level& level : levels_) {
      if (is_list(level.place)) {
        path += fmt::format("[{}]", level.count == 0 ? 0 : level.count - 1);
      } else if (!level.key.empty()) {
        path += path.empty() ? "" : ".";
        path += level.member != nullptr ? level.key : in_quotes(level.key);
      }
    }
    return path.empty() ? "the file" : path;
  }

  /// The object or list that is being read, without the member that came last.
  std::string where_container() {
    levels_.back().key.clear();
    return where();
  }

  bool scalar(const Scalar& value) {
    if (levels_.empty()) fail_no_result(name_, "it is a single value");
    Level& level = levels_.back();
    ++level.count;
    switch (level.place) {
      case Place::unknown:
        return true;
      case Place::rows:
      case Place::canaries:
      case Place::ranks:
        bad("must be an object");
      case Place::samples:
        time.samples.push_back(microseconds(value));
        return true;
      case Place::rounds:
        time.rounds.push_back(microseconds(value));
        return true;
      case Place::time_ci95:
      case Place::ratio_ci95:
        pair.push_back(number(value, 0.0, most_ratio));
        if (pair.size() > 2) bad("must not be there: an interval has two ends");
        return true;
      case Place::libraries:
        entry(result.context.libraries, text(value));
        return true;
      case Place::implementations:
        entry(result.context.implementations, text(value));
        return true;
      case Place::ceilings:
        entry(result.context.ceilings_gbps, number(value, 0.0, most_ratio));
        return true;
      default:
        break;
    }
    if (level.member == nullptr) return true;
    if (level.member->parameter != nullptr) {
      set_parameter(*level.member->parameter, level.place == Place::row ? row.request : canary.request, value);
    } else if (level.member->set != nullptr) {
      level.member->set(*this, value);
    } else if (!std::holds_alternative<std::nullptr_t>(value) || level.member->required) {
      bad(is_list(level.member->opens) ? "must be a list" : "must be an object");
    }
    return true;
  }

  template <class Value>
  void entry(std::map<std::string, Value>& map, Value value) const {
    if (map.size() == most_entries) bad(fmt::format("is one too many: at most {} are read", most_entries));
    if (!map.emplace(text(levels_.back().key), std::move(value)).second) bad("is given twice");
  }

  bool begin(bool list) {
    if (levels_.empty()) {
      if (list) fail_no_result(name_, "it is a list");
      levels_.push_back({Place::root, nullptr, {}, 0, 0});
      return true;
    }
    if (levels_.size() == most_depth) bad("is nested too deeply");
    Level& level = levels_.back();
    ++level.count;
    Place place = Place::unknown;
    if (holds_objects(level.place)) {
      if (list) bad("must be an object");
      place = level.place == Place::rows ? Place::row : level.place == Place::ranks ? Place::rank : Place::canary;
      if (place == Place::rank) rank = RankContext();
      if (place == Place::row) begin_row();
      if (place == Place::canary) canary = Canary();
    } else if (level.member != nullptr) {
      place = level.member->opens;
      if (place == Place::unknown) bad(list ? "must not be a list" : "must not be an object");
      if (list != is_list(place)) bad(is_list(place) ? "must be a list" : "must be an object");
    } else if (holds_scalars(level.place)) {
      bad(list ? "must not be a list" : "must not be an object");
    }
    pair.clear();
    if (place == Place::time) time = TimeStatistics();
    if (place == Place::clocks || place == Place::run_clocks || place == Place::rank_clocks) clocks = RowClocks();
    if (place == Place::codes_checked) row.codes_checked.emplace();
    levels_.push_back({place, nullptr, {}, 0, 0});
    return true;
  }

  void begin_row() {
    row = Row();
    derived = DerivedMembers();
    drifted_given = false;
  }

  void end() {
    const Place place = levels_.back().place;
    levels_.pop_back();
    if (place == Place::root) end_file();
    if (place == Place::canary) end_canary();
    if (place == Place::time_ci95 || place == Place::ratio_ci95) end_interval(place);
    if (place == Place::time) end_time();
    if (place == Place::clocks) row.clocks = clocks;
    if (place == Place::run_clocks) result.context.clocks = clocks;
    if (place == Place::rank_clocks) rank.clocks = clocks;
    if (place == Place::rank) result.context.ranks.push_back(std::move(rank));
    if (place == Place::row) end_row();
    if (place == Place::codes_checked && row.codes_checked->differ > row.codes_checked->compared) {
      bad("more codes differ than were compared");
    }
  }

  void end_interval(Place place) {
    if (pair.size() != 2 || pair[0] > pair[1]) bad("must be [low, high]");
    if (place == Place::time_ci95) {
      time.ci95_low = pair[0];
      time.ci95_high = pair[1];
    } else {
      row.time_ratio_ci95_low = pair[0];
      row.time_ratio_ci95_high = pair[1];
    }
  }

  void end_time() {
    const bool ordered = time.min <= time.ci95_low && time.ci95_low <= time.median && time.median <= time.ci95_high &&
                         time.ci95_high <= time.max;
    if (!ordered) bad("min, ci95, median and max are not in this order");
    for (const double sample : time.samples) {
      if (sample < time.min || sample > time.max) bad(fmt::format("sample {:g} is not between min and max", sample));
    }
    row.time_us = std::move(time);
  }

  /// A request that was timed is valid and has tokens.
  kq::Request timed(const kq::Request& request) {
    if (const auto invalid = kq::validate(request)) bad(fmt::format("{}: {}", invalid->field, invalid->reason));
    if (request.num_tokens == 0) bad("num_tokens: must be 1 or more, not 0: nothing was there to time");
    return kq::resolved(request);
  }

  void end_row() {
    row.request = timed(row.request);
    if (row.timing == not_timed) fail(name_, "holds no times; run it again without --profile");
    if (!drifted_given) row.drifted = row.time_us && halves_differ(row.time_us->samples);
    if (const std::string what = contradiction(row, derived); !what.empty()) bad(contradiction_text(row, what));
    result.rows.push_back(std::move(row));
  }

  void end_canary() {
    canary.request = timed(canary.request);
    if (canary.operation != kq::operation_name(canary.request)) {
      bad(fmt::format("operation is {}, and its members say {}", in_quotes(canary.operation),
                      in_quotes(kq::operation_name(canary.request))));
    }
    result.context.canary.push_back(std::move(canary));
  }

  void end_file() {
    check_ranks();
    if (const auto wrong = contradiction(result)) {
      fail(name_, fmt::format("rows[{}]: {}; write the file again", wrong->row,
                              contradiction_text(result.rows[wrong->row], wrong->what)));
    }
    finished_ = true;
  }

  /// Rows of a gathered file have the rank of a process that the file tells of, once.
  void check_ranks() const {
    std::set<int> ranks;
    for (const RankContext& one : result.context.ranks) {
      if (!ranks.insert(one.rank).second)
        fail(name_, fmt::format("setting.ranks: rank {} is there twice; write the file again", one.rank));
    }
    for (std::size_t i = 0; i < result.rows.size(); ++i) {
      const std::optional<int>& of = result.rows[i].rank;
      if (ranks.empty() ? of.has_value() : !of || !ranks.contains(*of)) {
        fail(name_, fmt::format("rows[{}].rank: is not one of setting.ranks; write the file again", i));
      }
    }
  }

  static std::string contradiction_text(const Row& row, const std::string& what) {
    return fmt::format("{} ({}, {}, {})", what, row.impl, work_text(row.request), shape_text(row.request));
  }

  std::string name_;
  std::size_t text_size_;
  std::vector<Level> levels_;
  bool finished_ = false;
};

// --- the members, in the order they are written ----------------------------------------------------------------------

constexpr Member root_members[] = {
    {"schema", true, [](Reader& r, const Scalar& v) { r.schema(v); }},
    {"complete", true, [](Reader& r, const Scalar& v) { r.result.complete = r.truth(v); }},
    {"setting", true, nullptr, Place::context},
    {"rows", true, nullptr, Place::rows},
};

template <std::string Context::*member>
void set_text(Reader& r, const Scalar& v) {
  r.result.context.*member = r.text(v);
}

constexpr Member context_members[] = {
    {"program", false, set_text<&Context::program>},
    {"version", false, set_text<&Context::version>},
    {"commit", false, set_text<&Context::commit>},
    {"build_type", false, set_text<&Context::build_type>},
    {"compiler", false, set_text<&Context::compiler>},
    {"device_compiler", false, set_text<&Context::device_compiler>},
    {"device_architectures", false, set_text<&Context::device_architectures>},
    {"host_architecture", false, set_text<&Context::host_architecture>},
    {"libraries", false, nullptr, Place::libraries},
    {"implementations", false, nullptr, Place::implementations},
    {"backend", true, set_text<&Context::backend>},
    {"device", true, set_text<&Context::device>},
    {"device_id", false, set_text<&Context::device_id>},
    {"architecture", false, set_text<&Context::architecture>},
    {"driver", false, set_text<&Context::driver>},
    {"runtime", false, set_text<&Context::runtime>},
    {"memory_bytes", false, [](Reader& r, const Scalar& v) { r.result.context.memory_bytes = r.count(v); }},
    {"cache_bytes", false, [](Reader& r, const Scalar& v) { r.result.context.cache_bytes = r.count(v); }},
    {"compute_units", false,
     [](Reader& r, const Scalar& v) { r.result.context.compute_units = static_cast<int>(r.count(v, 1 << 30)); }},
    {"power_cap_watts", false,
     [](Reader& r, const Scalar& v) { r.result.context.power_cap_watts = r.number_or_null(v, 0.0, 1e6); }},
    {"clocks", false, nullptr, Place::run_clocks},
    {"ceilings_gbps", false, nullptr, Place::ceilings},
    {"host_cpu", false, set_text<&Context::host_cpu>},
    {"host_threads", false,
     [](Reader& r, const Scalar& v) { r.result.context.host_threads = static_cast<int>(r.count(v, 1 << 30)); }},
    {"host_threads_used", false,
     [](Reader& r, const Scalar& v) { r.result.context.host_threads_used = static_cast<int>(r.count(v, 1 << 30)); }},
    {"operating_system", false, set_text<&Context::operating_system>},
    {"time", false, set_text<&Context::time>},
    {"command_line", false, set_text<&Context::command_line>},
    {"seed", false,
     [](Reader& r, const Scalar& v) {
       if (!std::holds_alternative<std::nullptr_t>(v)) r.result.context.seed = r.count(v, UINT64_MAX);
     }},
    {"host", false, set_text<&Context::host>},
    {"node", false, set_text<&Context::node>},
    {"launcher", false, set_text<&Context::launcher>},
    {"rank", false, [](Reader& r, const Scalar& v) { r.result.context.rank = r.rank_number(v); }},
    {"size", false, [](Reader& r, const Scalar& v) { r.result.context.size = r.rank_number(v); }},
    {"measured", false, set_text<&Context::measured>},
    {"ranks", false, nullptr, Place::ranks},
    {"canary", false, nullptr, Place::canaries},
};

template <std::string RankContext::*member>
void set_rank_text(Reader& r, const Scalar& v) {
  r.rank.*member = r.text(v);
}

constexpr Member rank_members[] = {
    {"rank", true, [](Reader& r, const Scalar& v) { r.rank.rank = r.rank_number(v); }},
    {"host", true, set_rank_text<&RankContext::host>},
    {"node", false, set_rank_text<&RankContext::node>},
    {"device", true, set_rank_text<&RankContext::device>},
    {"device_id", true, set_rank_text<&RankContext::device_id>},
    {"power_cap_watts", false,
     [](Reader& r, const Scalar& v) { r.rank.power_cap_watts = r.number_or_null(v, 0.0, 1e6); }},
    {"clocks", false, nullptr, Place::rank_clocks},
    {"complete", true, [](Reader& r, const Scalar& v) { r.rank.complete = r.truth(v); }},
    {"failure", false, set_rank_text<&RankContext::failure>},
};

constexpr Member own_canary_members[] = {
    {"peer", false, [](Reader& r, const Scalar& v) { r.canary.peer = r.text(v); }},
    {"impl", true, [](Reader& r, const Scalar& v) { r.canary.impl = r.word(v); }},
    {"operation", true, [](Reader& r, const Scalar& v) { r.canary.operation = r.text(v); }},
    {"timing", true, [](Reader& r, const Scalar& v) { r.canary.timing = r.word(v); }},
    {"cache", true, [](Reader& r, const Scalar& v) { r.canary.cache = r.word(v); }},
    {"median_us_before", true, [](Reader& r, const Scalar& v) { r.canary.median_us_before = r.microseconds(v); }},
    {"median_us_after", true, [](Reader& r, const Scalar& v) { r.canary.median_us_after = r.microseconds(v); }},
    {"kqbench_median_us", false,
     [](Reader& r, const Scalar& v) {
       r.canary.kqbench_median_us = r.number_or_null(v, least_microseconds, most_microseconds);
     }},
    {"launches_per_sample", true, [](Reader& r, const Scalar& v) { r.canary.launches_per_sample = r.signed_count(v); }},
};

template <std::optional<double> Row::*member>
void set_ratio(Reader& r, const Scalar& v) {
  r.row.*member = r.number_or_null(v, 0.0, most_ratio);
}

constexpr Member own_row_members[] = {
    {"impl", true, [](Reader& r, const Scalar& v) { r.row.impl = r.word(v); }},
    {"backend", true, [](Reader& r, const Scalar& v) { r.row.backend = r.word(v); }},
    {"rank", false, [](Reader& r, const Scalar& v) { r.row.rank = r.rank_number(v); }},
    {"operation", false, [](Reader& r, const Scalar& v) { r.derived.operation = r.text(v); }},
    {"threads", false,
     [](Reader& r, const Scalar& v) {
       if (!std::holds_alternative<std::nullptr_t>(v)) r.row.threads = static_cast<int>(r.count(v, 1 << 30));
     }},
    {"timing", true, [](Reader& r, const Scalar& v) { r.row.timing = r.word(v); }},
    {"launch", false, [](Reader& r, const Scalar& v) { r.row.launch = r.word(v); }},
    {"cache", true, [](Reader& r, const Scalar& v) { r.row.cache = r.word(v); }},
    {"copies", false, [](Reader& r, const Scalar& v) { r.row.copies = r.signed_count(v); }},
    {"bytes_between_uses", false, [](Reader& r, const Scalar& v) { r.row.bytes_between_uses = r.count(v); }},
    {"verified", true, [](Reader& r, const Scalar& v) { r.row.verified = r.truth(v); }},
    {"failure", false, [](Reader& r, const Scalar& v) { r.row.failure = r.text(v); }},
    {"codes_checked", false, nullptr, Place::codes_checked},
    {"stop", true, [](Reader& r, const Scalar& v) { r.row.stop = r.text(v); }},
    {"bytes", true, [](Reader& r, const Scalar& v) { r.row.bytes = r.count(v); }},
    {"gbps", true, [](Reader& r, const Scalar& v) { r.row.gbps = r.number(v, 0.0, most_ratio); }},
    {"ceiling_mix", false, [](Reader& r, const Scalar& v) { r.row.ceiling_mix = r.text(v); }},
    {"ceiling_gbps", true, set_ratio<&Row::ceiling_gbps>},
    {"ceiling_fraction", true, set_ratio<&Row::ceiling_fraction>},
    {"time_ratio_to_native", true, set_ratio<&Row::time_ratio_to_native>},
    {"time_ratio_ci95", false, nullptr, Place::ratio_ci95},
    {"suspect", true, [](Reader& r, const Scalar& v) { r.row.suspect = r.truth(v); }},
    {"drifted", false,
     [](Reader& r, const Scalar& v) {
       r.row.drifted = r.truth(v);
       r.drifted_given = true;
     }},
    {"clocks", false, nullptr, Place::clocks},
    {"launches_per_sample", false, [](Reader& r, const Scalar& v) { r.row.launches_per_sample = r.signed_count(v); }},
    {"time_us", true,
     [](Reader& r, const Scalar& v) {
       if (!std::holds_alternative<std::nullptr_t>(v)) r.bad("must be an object or null");
     },
     Place::time},
};

constexpr Member codes_checked_members[] = {
    {"differ", true, [](Reader& r, const Scalar& v) { r.row.codes_checked->differ = r.count(v); }},
    {"compared", true, [](Reader& r, const Scalar& v) { r.row.codes_checked->compared = r.count(v); }},
};

constexpr Member time_members[] = {
    {"median", true, [](Reader& r, const Scalar& v) { r.time.median = r.microseconds(v); }},
    {"ci95", true, nullptr, Place::time_ci95},
    {"ci95_confidence", false,
     [](Reader& r, const Scalar& v) { r.derived.ci95_confidence = r.number_or_null(v, 0.0, 1.0); }},
    {"min", true, [](Reader& r, const Scalar& v) { r.time.min = r.microseconds(v); }},
    {"max", true, [](Reader& r, const Scalar& v) { r.time.max = r.microseconds(v); }},
    {"samples", true, nullptr, Place::samples},
    {"rounds", false, nullptr, Place::rounds},
    {"repeatability", false,
     [](Reader& r, const Scalar& v) { r.time.repeatability = r.number_or_null(v, 0.0, most_ratio); }},
};

template <std::optional<double> RowClocks::*member>
void set_reading(Reader& r, const Scalar& v) {
  r.clocks.*member = r.number_or_null(v, -1e6, 1e6);
}

constexpr Member clocks_members[] = {
    {"core_mhz_before", false, set_reading<&RowClocks::core_mhz_before>},
    {"core_mhz_after", false, set_reading<&RowClocks::core_mhz_after>},
    {"memory_mhz_before", false, set_reading<&RowClocks::memory_mhz_before>},
    {"memory_mhz_after", false, set_reading<&RowClocks::memory_mhz_after>},
    {"power_watts", false, set_reading<&RowClocks::power_watts>},
    {"temperature_celsius", false, set_reading<&RowClocks::temperature_celsius>},
    {"dropped", false, [](Reader& r, const Scalar& v) { r.clocks.dropped = r.truth(v); }},
};

std::set<std::string_view> required_parameters() {
  std::set<std::string_view> required;
  for (const kq::Parameter& parameter : kq::parameters()) {
    if (parameter.is_required) required.insert(parameter.name);
  }
  return required;
}

/// An object's own members, and those of the request that it is about. `required` says which of these it must have.
std::vector<Member> with_request(std::span<const Member> own, const std::set<std::string_view>& required) {
  std::vector<Member> members(own.begin(), own.end());
  for (const kq::Parameter& parameter : kq::parameters()) {
    members.push_back({parameter.name, required.contains(parameter.name), nullptr, Place::unknown, &parameter});
  }
  return members;
}

std::span<const Member> row_members() {
  static const std::vector<Member> members = with_request(own_row_members, required_parameters());
  return members;
}

/// The first canaries had a few of a request's members.
std::span<const Member> canary_members() {
  static const std::vector<Member> members = with_request(
      own_canary_members, {"num_tokens", "hidden_size", "dtype", "quant_dtype", "static_scale", "granularity"});
  return members;
}

std::span<const Member> members_of(Place place) {
  switch (place) {
    case Place::root:
      return root_members;
    case Place::context:
      return context_members;
    case Place::canary:
      return canary_members();
    case Place::row:
      return row_members();
    case Place::codes_checked:
      return codes_checked_members;
    case Place::time:
      return time_members;
    case Place::clocks:
    case Place::run_clocks:
    case Place::rank_clocks:
      return clocks_members;
    case Place::rank:
      return rank_members;
    default:
      return {};
  }
}

}  // namespace

ResultFile parse_result(std::string_view text, const std::string& name) {
  Reader reader(name, text.size());
  const bool read = nlohmann::json::sax_parse(text.begin(), text.end(), &reader);
  // Its parser takes a zero byte for the end.
  if (const auto zero = text.find('\0'); zero != std::string_view::npos) {
    fail_no_json(name, zero);
  }
  if (!read || !reader.finished()) fail(name, "is not a result file of kqbench");
  return std::move(reader.result);
}

ResultFile read_result_file(const std::filesystem::path& path) {
  const InputFile file(path);
  if (file.size() > max_result_file_bytes) {
    fail(file.name(), fmt::format("has {} bytes, and result files of more than {} are not read; split it", file.size(),
                                  max_result_file_bytes));
  }
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return parse_result(text, file.name());
}

}  // namespace kqbench
