# SPDX-License-Identifier: Apache-2.0
#
# Run with -P: writes the pages of ${FROM} into ${TO}, as they are installed. Nothing else of the repository is: a link that
# leads out of the pages becomes its text, with the path in the repository.

file(GLOB pages ${FROM}/*.md)
file(REMOVE_RECURSE ${TO})
foreach(path IN LISTS pages)
  file(READ ${path} page)
  get_filename_component(name ${path} NAME)
  # A link's text has no brackets, but those that code in it has. What lies beside the pages is in docs/.
  string(REGEX REPLACE "\\[([^][]*)\\]\\(\\.\\./([^()# \n]+)(#[^() \n]*)?\\)" "\\1 (`\\2`)" page "${page}")
  string(REGEX REPLACE "\\[([^][]*)\\]\\(([^():# \n]+/[^():# \n]*|[^():# \n]+\\.(csv|json|html|png))(#[^() \n]*)?\\)"
                       "\\1 (`docs/\\2`)" page "${page}")
  file(WRITE ${TO}/${name} "${page}")
endforeach()
