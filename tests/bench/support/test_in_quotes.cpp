// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

TEST(Printable, ShowsCharactersAsTheyAreWhereTextIsUtf8) {
  for (const char* text :
       {"plain", "größe", "重み.safetensors", "вес", "\xf0\x9f\x8d\x8b", "e\xcc\x81", "\xef\xbf\xbd"}) {
    EXPECT_EQ(printable(text, true), text);
  }
  EXPECT_EQ(printable("größe", false), "gr\\xc3\\xb6\\xc3\\x9fe");
}

TEST(Printable, EscapesWhatWouldActOnATerminalOrIsNoText) {
  const std::pair<const char*, const char*> texts[] = {
      {"a\nb", "a\\x0ab"},
      {"\x1b[31m", "\\x1b[31m"},
      {"\x7f", "\\x7f"},
      {"\xc2\x9b", "\\xc2\\x9b"},                    // CSI as one character
      {"\xe2\x80\xa8", "\\xe2\\x80\\xa8"},           // line separator
      {"\xe2\x80\xae", "\\xe2\\x80\\xae"},           // from right to left
      {"\xe2\x81\xa6", "\\xe2\\x81\\xa6"},           // isolated
      {"\xc3", "\\xc3"},                             // cut short
      {"\xe9 ", "\\xe9 "},                           // Latin-1
      {"\xc0\xaf", "\\xc0\\xaf"},                    // overlong
      {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},           // overlong
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},           // surrogate
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},  // beyond Unicode
      {"\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf"},  // overlong
      {"\x80\xbf", "\\x80\\xbf"},                    // without a beginning
      {"ü\xffü", "ü\\xffü"},
  };
  for (const auto& [text, shown] : texts) {
    EXPECT_EQ(printable(text, true), shown);
  }
}

TEST(InQuotes, CutsBetweenTwoCharacters) {
  std::string text;
  for (int i = 0; i < 150; ++i) {
    text += "\xe9\x87\x8d";  // three bytes each
  }
  EXPECT_EQ(in_quotes(text, true), '\'' + text.substr(0, 198) + "...'");
  EXPECT_EQ(in_quotes(std::string(200, 'x'), true), '\'' + std::string(200, 'x') + '\'');
  EXPECT_EQ(in_quotes(std::string(201, 'x'), true), '\'' + std::string(200, 'x') + "...'");
  EXPECT_EQ(in_quotes(std::string(199, 'x') + "\xc3\xb6", true), '\'' + std::string(199, 'x') + "...'");
}

}  // namespace
}  // namespace kqbench
