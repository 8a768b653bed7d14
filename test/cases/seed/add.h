#pragma once
extern int counter;
int add(int a, int b);
