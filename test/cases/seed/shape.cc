#include <string>
#include <vector>
#include "add.h"
struct Shape { virtual ~Shape() {} virtual int area() const = 0; };
template <typename T> struct Box : Shape { T w; explicit Box(T x) : w(x) {} int area() const override { return int(w * w); } };
extern "C" int area(int n) {
  std::vector<Shape *> v;
  for (int i = 0; i < n; i++) v.push_back(new Box<int>(i));
  int s = 0;
  for (auto *p : v) { s += p->area(); delete p; }
  return s + int(std::string("ab").size());
}
int main() { return area(3) == 7 ? 0 : 1; }
