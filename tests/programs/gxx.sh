# g++: one file heavy with templates, to assembler and to an object, then linked and run.
# Needs: /usr/bin/g++
# Programs: g++ cc1plus as ld
/usr/bin/awk -f "$CASES/templates.awk" >heavy.cpp
/usr/bin/g++ -std=c++20 -O2 -S -o - heavy.cpp | cksum
/usr/bin/g++ -std=c++20 -O2 -pipe -c -o heavy.o heavy.cpp
cksum heavy.o
/usr/bin/g++ -o heavy heavy.o
./heavy
