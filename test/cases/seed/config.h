#ifndef CONFIG_H
#define CONFIG_H
#ifndef NAME
#define NAME "cases"
#endif
#ifndef BASE
#define BASE 40
#endif
#endif
