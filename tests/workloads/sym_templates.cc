/* SPDX-License-Identifier: MIT */
/*
 * C++ for the symbolizer's tests: templates, overloads, a namespace without a name, lambdas,
 * constructors, virtual functions, operators and the standard library, all inlined into each other
 * as the compiler likes.
 */
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace shapes
{
namespace
{
int secret(int x)
{
	return x * 17 + 4;
}
}

struct shape {
	virtual ~shape() = default;
	virtual double area() const = 0;
};

template <typename T, int N> struct box : shape {
	T sides[N];

	explicit box(T side)
	{
		std::fill(sides, sides + N, side);
	}
	double area() const override
	{
		double product = 1;

		for (T side : sides)
			product *= side;
		return product + secret(N);
	}
	box operator+(const box &other) const
	{
		return box(sides[0] + other.sides[0]);
	}
};
}

template <typename F> __attribute__((noinline)) double apply(F f, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += f(i);
	return sum;
}

__attribute__((noinline)) std::map<std::string, int> count(const std::vector<std::string> &words)
{
	std::map<std::string, int> result;

	for (const auto &word : words)
		result[word]++;
	return result;
}

int main(int argc, char **argv)
{
	std::vector<std::unique_ptr<shapes::shape>> all;
	std::vector<std::string> words(argv, argv + argc);

	for (int i = 0; i < argc; i++) {
		all.push_back(std::make_unique<shapes::box<double, 3>>(i));
		all.push_back(std::make_unique<shapes::box<int, 2>>(i));
	}
	std::sort(all.begin(), all.end(),
		  [](const auto &a, const auto &b) { return a->area() < b->area(); });
	auto sum = shapes::box<int, 2>(1) + shapes::box<int, 2>(argc);
	double total = apply([&](int i) { return all[i % all.size()]->area() + sum.area(); }, 100);
	return static_cast<int>(total) + static_cast<int>(count(words).size());
}
