#!/bin/sh
# The registry of dissectors, from their names.
echo '#include "dissect.h"'
for d; do echo "extern const struct dissector dissector_$d;"; done
echo 'const struct dissector *const dissectors[] = {'
for d; do echo "	&dissector_$d,"; done
echo '	NULL,'
echo '};'
echo "const unsigned dissector_count = $#;"
